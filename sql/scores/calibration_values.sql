-- what: the values whose distribution a calibration freezes, of every customer with a relationship, money in cents
-- grain: customer with a relationship
-- reads: customer_features, current_values, customer_scores, future_values
SELECT
  f.recency_days AS recency_days,
  CASE WHEN f.frequency IS NOT NULL THEN f.rfm_purchase_days END AS rfm_purchase_days,
  CASE WHEN f.frequency IS NOT NULL THEN CAST(CAST(f.rfm_contribution AS DECIMAL(18, 2)) * 100 AS BIGINT) END AS rfm_contribution_cents,
  CAST(v.current_value * 100 AS BIGINT) AS current_value_cents,
  CAST(s.clv_12m * 100 AS BIGINT) AS clv_cents,
  CAST(u.future_value_12m * 100 AS BIGINT) AS future_value_cents
FROM customer_features AS f
JOIN current_values AS v ON v.customer_id = f.customer_id
JOIN customer_scores AS s ON s.customer_id = f.customer_id
JOIN future_values AS u ON u.customer_id = f.customer_id
WHERE f.relationship_days IS NOT NULL
