-- what: most purchases have a negative amount, so they count as losses: are these extracts signed from the bank's side?
-- grain: one row if so
-- reads: transactions, purchase_rules
-- severity: WARNS
SELECT
  COUNT(*) AS purchases
FROM transactions AS t
LEFT JOIN purchase_rules AS p ON p.transaction_type = t.transaction_type
WHERE t.posted_on <= CAST($as_of AS DATE) AND t.reverses_id IS NULL AND COALESCE(p.purchase, $default_purchase)
HAVING 2 * SUM(CASE WHEN t.amount < 0 THEN 1 ELSE 0 END) > COUNT(*)
