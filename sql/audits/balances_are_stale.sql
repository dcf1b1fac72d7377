-- what: the latest balance lies further before as_of than one stands (balances.gap_days): what was told then is taken for today's
-- grain: one row if so
-- reads: balances
-- severity: WARNS
-- subject: balances
SELECT
  MAX(b.date) AS latest
FROM balances AS b
WHERE b.date <= CAST($as_of AS DATE)
HAVING DATE_DIFF('day', MAX(b.date), CAST($as_of AS DATE)) > $balance_gap_days
