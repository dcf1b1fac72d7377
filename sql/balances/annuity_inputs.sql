-- what: what stands on each open account on as_of, what it earns a year, its product and its age
-- grain: customer x product of the account x age
-- reads: balance_spans, rate_spans, holdings
WITH standing AS (
  SELECT s.customer_id, s.account_id, s.deposit_balance, s.loan_balance, s.deposit_key, s.loan_key
  FROM balance_spans AS s
  WHERE s.is_position AND (s.deposit_balance <> 0 OR s.loan_balance <> 0)
),
open_accounts AS (
  SELECT h.customer_id, h.account_id, h.product_type, DATE_DIFF('day', h.opened_on, CAST($as_of AS DATE)) AS age_days
  FROM holdings AS h
  WHERE h.opened_on <= CAST($as_of AS DATE) AND (h.closed_on IS NULL OR h.closed_on > CAST($as_of AS DATE))
),
-- What stands for all accounts of a customer together is as old as the oldest of them, and of no one product.
aged AS (
  SELECT s.customer_id, a.product_type, a.age_days, s.deposit_balance, s.loan_balance, s.deposit_key, s.loan_key
  FROM standing AS s
  JOIN open_accounts AS a ON a.customer_id = s.customer_id AND a.account_id = s.account_id
  UNION ALL
  SELECT s.customer_id, CAST(NULL AS VARCHAR) AS product_type, o.age_days, s.deposit_balance, s.loan_balance, s.deposit_key, s.loan_key
  FROM standing AS s
  JOIN (SELECT a.customer_id, MAX(a.age_days) AS age_days FROM open_accounts AS a GROUP BY a.customer_id) AS o
    ON o.customer_id = s.customer_id
  WHERE s.account_id IS NULL
),
today AS (
  SELECT r.rate_key, r.kind, r.margin FROM rate_spans AS r WHERE r.last_days_ago = 0
)
SELECT
  a.customer_id AS customer_id,
  a.product_type AS product_type,
  a.age_days AS age_days,
  SUM(CAST(
    a.deposit_balance * CAST(COALESCE(d.margin, CAST(0 AS DECIMAL(10, 8))) AS DECIMAL(10, 8))
      + a.loan_balance * CAST(COALESCE(l.margin, CAST(0 AS DECIMAL(10, 8))) AS DECIMAL(10, 8))
    AS DECIMAL(38, 8)
  )) AS margin_a_year
FROM aged AS a
LEFT JOIN today AS d ON d.rate_key = a.deposit_key AND d.kind = 'DEPOSIT'
LEFT JOIN today AS l ON l.rate_key = a.loan_key AND l.kind = 'LOAN'
GROUP BY a.customer_id, a.product_type, a.age_days
