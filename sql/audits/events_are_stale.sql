-- what: the latest event lies far before as_of: days that nobody delivered count as silence (quality.maximum_lag_days)
-- grain: one row if so
-- reads: transactions
-- severity: WARNS
SELECT
  MAX(t.posted_on) AS latest
FROM transactions AS t
WHERE t.posted_on <= CAST($as_of AS DATE)
HAVING DATE_DIFF('day', MAX(t.posted_on), CAST($as_of AS DATE)) > $maximum_lag_days
