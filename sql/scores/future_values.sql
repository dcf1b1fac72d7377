-- what: lifetime value and balance annuity together; who has bought and whose purchases cannot be valued has none
-- grain: customer
-- reads: customer_features, customer_scores, balance_annuities
WITH parts AS (
  SELECT
    f.customer_id,
    f.relationship_days IS NOT NULL AS has_relationship,
    f.frequency IS NOT NULL AS has_purchase,
    s.clv_12m,
    s.clv_status,
    s.clv_reason,
    CASE WHEN f.relationship_days IS NOT NULL AND $annuity_reason IS NULL THEN COALESCE(a.balance_annuity_12m, CAST(0 AS DECIMAL(18, 2))) END AS annuity
  FROM customer_features AS f
  JOIN customer_scores AS s ON s.customer_id = f.customer_id
  LEFT JOIN balance_annuities AS a ON a.customer_id = f.customer_id
)
SELECT
  p.customer_id AS customer_id,
  p.annuity AS balance_annuity_12m,
  CASE WHEN p.annuity IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS annuity_status,
  CASE WHEN NOT p.has_relationship THEN 'NO_RELATIONSHIP' WHEN p.annuity IS NULL THEN CAST($annuity_reason AS VARCHAR) END AS annuity_reason,
  CASE WHEN p.has_purchase THEN p.clv_12m + COALESCE(p.annuity, CAST(0 AS DECIMAL(18, 2))) ELSE p.annuity END AS future_value_12m,
  CASE
    WHEN p.clv_12m IS NOT NULL AND p.annuity IS NOT NULL THEN 'CLV_ANNUITY'
    WHEN p.clv_12m IS NOT NULL THEN 'CLV'
    WHEN NOT p.has_purchase AND p.annuity IS NOT NULL THEN 'ANNUITY'
  END AS future_value_basis,
  CASE WHEN p.has_purchase THEN p.clv_status WHEN p.annuity IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS future_value_status,
  CASE
    WHEN p.has_purchase THEN p.clv_reason WHEN NOT p.has_relationship THEN 'NO_RELATIONSHIP' WHEN p.annuity IS NULL THEN 'NO_PURCHASE'
  END AS future_value_reason
FROM parts AS p
