-- what: balances as step functions: each observation with the days that it stands for, counted back from as_of
-- grain: series (customer, account, product) x observation
-- reads: balances, balance_problems, holdings, rate_spans
WITH observed AS (
  SELECT
    b.customer_id,
    b.account_id,
    b.product_type,
    DATE_DIFF('day', b.date, CAST($as_of AS DATE)) AS days_ago,
    COALESCE(b.deposit_balance, CAST(0 AS DECIMAL(22, 8))) AS deposit_balance,
    COALESCE(b.loan_balance, CAST(0 AS DECIMAL(22, 8))) AS loan_balance,
    COALESCE(b.investment_value, CAST(0 AS DECIMAL(22, 8))) AS investment_value,
    b.net_flow
  FROM balances AS b
  LEFT JOIN balance_problems AS p ON p.source_file = b.source_file AND p.line = b.line
  WHERE b.date <= CAST($as_of AS DATE) AND p.line IS NULL
),
neighbours AS (
  SELECT
    o.customer_id, o.account_id, o.product_type, o.days_ago, o.deposit_balance, o.loan_balance, o.investment_value, o.net_flow,
    LAG(o.days_ago) OVER (PARTITION BY o.customer_id, o.account_id, o.product_type ORDER BY o.days_ago DESC) AS before_days_ago,
    MIN(o.days_ago) OVER (PARTITION BY o.customer_id, o.account_id) AS newest_of_account,
    MIN(CASE WHEN o.account_id IS NULL THEN o.days_ago END) OVER (PARTITION BY o.customer_id) AS newest_total,
    MIN(CASE WHEN o.account_id IS NOT NULL THEN o.days_ago END) OVER (PARTITION BY o.customer_id) AS newest_part
  FROM observed AS o
),
-- The last day of which the bank has told anything: what was told then still stands.
frontier AS (
  SELECT MIN(o.days_ago) AS days_ago FROM observed AS o
),
-- Nothing newer has come in its place: neither of the account, by whatever product, nor of the whole for the parts.
newest AS (
  SELECT
    n.customer_id, n.account_id, n.product_type, n.days_ago, n.deposit_balance, n.loan_balance, n.investment_value, n.net_flow,
    n.before_days_ago,
    n.days_ago = n.newest_of_account
      AND n.days_ago <= COALESCE(CASE WHEN n.account_id IS NULL THEN n.newest_part ELSE n.newest_total END, n.days_ago) AS stands_on
  FROM neighbours AS n
),
accounts AS (
  SELECT
    h.customer_id, h.account_id, h.product_type,
    DATE_DIFF('day', h.opened_on, CAST($as_of AS DATE)) AS opened_days_ago,
    CASE WHEN h.closed_on <= CAST($as_of AS DATE) THEN DATE_DIFF('day', h.closed_on, CAST($as_of AS DATE)) END AS closed_days_ago
  FROM holdings AS h
  WHERE h.opened_on <= CAST($as_of AS DATE)
),
rate_keys AS (
  SELECT
    r.rate_key,
    MAX(CASE WHEN r.kind = 'DEPOSIT' THEN r.rated_days_ago END) AS deposits_days_ago,
    MAX(CASE WHEN r.kind = 'LOAN' THEN r.rated_days_ago END) AS loans_days_ago
  FROM rate_spans AS r
  GROUP BY r.rate_key
),
spans AS (
  SELECT
    n.customer_id,
    n.account_id,
    COALESCE(n.product_type, a.product_type) AS product_type,
    n.days_ago,
    -- An observation stands for the days since the one before it, but no longer than a month, nor before the opening.
    LEAST(
      COALESCE(n.before_days_ago - 1, n.days_ago + $balance_gap_days - 1),
      n.days_ago + $balance_gap_days - 1,
      GREATEST(n.days_ago, COALESCE(a.opened_days_ago, n.days_ago + $balance_gap_days))
    ) AS first_days_ago,
    -- The last one stands on for a month, but not beyond the closing of its account.
    CASE
      WHEN NOT n.stands_on THEN n.days_ago
      ELSE LEAST(n.days_ago, GREATEST(0, n.days_ago - $balance_gap_days, COALESCE(a.closed_days_ago, 0)))
    END AS last_days_ago,
    n.stands_on AND (n.days_ago = 0 OR (a.closed_days_ago IS NULL AND n.days_ago - f.days_ago <= $balance_gap_days)) AS is_position,
    n.deposit_balance,
    n.loan_balance,
    n.investment_value,
    n.net_flow
  FROM newest AS n
  CROSS JOIN frontier AS f
  LEFT JOIN accounts AS a ON a.customer_id = n.customer_id AND a.account_id = n.account_id
)
SELECT
  s.customer_id AS customer_id,
  s.account_id AS account_id,
  s.product_type AS product_type,
  s.days_ago AS days_ago,
  s.first_days_ago AS first_days_ago,
  s.last_days_ago AS last_days_ago,
  s.is_position AS is_position,
  s.deposit_balance AS deposit_balance,
  s.loan_balance AS loan_balance,
  s.investment_value AS investment_value,
  s.net_flow AS net_flow,
  COALESCE(own.rate_key, 'DEPOSIT') AS deposit_key,
  COALESCE(own.rate_key, 'LOAN') AS loan_key,
  -- Days of the span before the first rate of a balance that is not zero; both kinds begin with the span.
  LEAST(
    CASE WHEN s.deposit_balance <> 0 AND COALESCE(own.deposits_days_ago, deposits.deposits_days_ago, -1) < s.first_days_ago
      THEN GREATEST(s.last_days_ago, COALESCE(own.deposits_days_ago, deposits.deposits_days_ago, -1) + 1) END,
    CASE WHEN s.loan_balance <> 0 AND COALESCE(own.loans_days_ago, loans.loans_days_ago, -1) < s.first_days_ago
      THEN GREATEST(s.last_days_ago, COALESCE(own.loans_days_ago, loans.loans_days_ago, -1) + 1) END
  ) AS unrated_last_days_ago
FROM spans AS s
LEFT JOIN rate_keys AS own ON own.rate_key = s.product_type
LEFT JOIN rate_keys AS deposits ON deposits.rate_key = 'DEPOSIT'
LEFT JOIN rate_keys AS loans ON loans.rate_key = 'LOAN'
