-- what: what the potential of who has a relationship is ranked by; money in cents
-- grain: customer with a relationship
-- reads: customer_features, customer_positions, customer_scores
SELECT
  f.customer_id AS customer_id,
  p.products_held AS products_held,
  p.mobile_accounts AS mobile_accounts,
  CASE
    WHEN $assets_by = 'amount' THEN CAST(CAST(p.financial_assets AS DECIMAL(18, 2)) * 100 AS BIGINT)
    ELSE p.financial_asset_accounts
  END AS financial_assets,
  CAST(s.clv_12m * 100 AS BIGINT) AS clv_cents
FROM customer_features AS f
JOIN customer_positions AS p ON p.customer_id = f.customer_id
JOIN customer_scores AS s ON s.customer_id = f.customer_id
WHERE f.relationship_days IS NOT NULL
ORDER BY customer_id
