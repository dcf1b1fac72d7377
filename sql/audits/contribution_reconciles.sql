-- what: contribution by day, by customer and by model input is the same money; a row is a customer where it is not
-- grain: offence
-- reads: purchase_days, customer_features
-- severity: BLOCKS
WITH days AS (
  SELECT d.customer_id, COUNT(*) AS purchase_days, SUM(d.contribution) AS contribution
  FROM purchase_days AS d
  GROUP BY d.customer_id
)
SELECT
  f.customer_id AS customer_id
FROM customer_features AS f
LEFT JOIN days AS d ON d.customer_id = f.customer_id
WHERE
  f.purchase_days_total <> COALESCE(d.purchase_days, 0)
  OR f.contribution_total <> COALESCE(d.contribution, CAST(0 AS DECIMAL(38, 8)))
