-- what: most loans have a negative balance, so their interest counts as a loss: are these extracts signed the other way?
-- grain: one row if so
-- reads: balances
-- severity: WARNS
-- subject: balances
SELECT
  COUNT(*) AS balances
FROM balances AS b
WHERE b.date <= CAST($as_of AS DATE) AND b.loan_balance <> 0
HAVING 2 * SUM(CASE WHEN b.loan_balance < 0 THEN 1 ELSE 0 END) > COUNT(*)
