-- what: more than half of the events are no purchases by the rules, or fall under no rule: see [purchases] in the config
-- grain: one row if so
-- reads: transactions, purchase_rules
-- severity: WARNS
SELECT
  COUNT(*) AS events,
  SUM(CASE WHEN COALESCE(p.purchase, FALSE) THEN 0 ELSE 1 END) AS outside
FROM transactions AS t
LEFT JOIN purchase_rules AS p ON p.transaction_type = t.transaction_type
WHERE t.posted_on <= CAST($as_of AS DATE) AND t.reverses_id IS NULL AND $has_purchase_rules
HAVING 2 * SUM(CASE WHEN COALESCE(p.purchase, FALSE) THEN 0 ELSE 1 END) > COUNT(*)
