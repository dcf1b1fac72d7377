-- what: balances that do not fit: of an account that only others hold, or of a customer whose accounts have their own
-- grain: balance set aside
-- reads: balances, holdings
WITH held AS (
  SELECT h.account_id, h.customer_id
  FROM holdings AS h
  WHERE h.opened_on <= CAST($as_of AS DATE)
),
accounts AS (
  SELECT h.account_id FROM held AS h GROUP BY h.account_id
),
of_accounts AS (
  SELECT
    b.source_file, b.line, b.customer_id, b.date,
    CASE WHEN a.account_id IS NOT NULL AND own.account_id IS NULL THEN 'ACCOUNT_OF_ANOTHER' END AS reason
  FROM balances AS b
  LEFT JOIN accounts AS a ON a.account_id = b.account_id
  LEFT JOIN held AS own ON own.account_id = b.account_id AND own.customer_id = b.customer_id
  WHERE b.account_id IS NOT NULL AND b.date <= CAST($as_of AS DATE)
),
-- Only accounts that stand themselves stand in the place of the customer's total.
with_accounts AS (
  SELECT a.customer_id, a.date
  FROM of_accounts AS a
  WHERE a.reason IS NULL
  GROUP BY a.customer_id, a.date
)
SELECT
  a.source_file AS source_file, a.line AS line, a.customer_id AS customer_id, a.reason AS reason
FROM of_accounts AS a
WHERE a.reason IS NOT NULL
UNION ALL
SELECT
  b.source_file AS source_file, b.line AS line, b.customer_id AS customer_id, 'OVERLAP' AS reason
FROM balances AS b
JOIN with_accounts AS w ON w.customer_id = b.customer_id AND w.date = b.date
WHERE b.account_id IS NULL
