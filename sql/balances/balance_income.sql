-- what: what each customer's balances earned in the last 365 days, times 365, and their sums by day
-- grain: customer with a balance in the last 365 days
-- reads: balance_spans, rate_spans
WITH spans AS (
  SELECT
    s.customer_id, s.deposit_key, s.loan_key, s.deposit_balance, s.loan_balance, s.investment_value, s.is_position,
    s.last_days_ago, LEAST(s.first_days_ago, 364) AS first_days_ago
  FROM balance_spans AS s
  WHERE s.last_days_ago < 365
),
earned AS (
  SELECT
    s.customer_id,
    CAST(0 AS DECIMAL(38, 8)) AS asset_365,
    CAST(s.deposit_balance * CAST(r.margin AS DECIMAL(10, 8)) * CAST(
      LEAST(s.first_days_ago, r.first_days_ago) - GREATEST(s.last_days_ago, r.last_days_ago) + 1 AS DECIMAL(4, 0)
    ) AS DECIMAL(38, 8)) AS liability_365
  FROM spans AS s
  JOIN rate_spans AS r
    ON r.rate_key = s.deposit_key AND r.kind = 'DEPOSIT' AND r.first_days_ago >= s.last_days_ago AND r.last_days_ago <= s.first_days_ago
  WHERE s.deposit_balance <> 0
  UNION ALL
  SELECT
    s.customer_id,
    CAST(s.loan_balance * CAST(r.margin AS DECIMAL(10, 8)) * CAST(
      LEAST(s.first_days_ago, r.first_days_ago) - GREATEST(s.last_days_ago, r.last_days_ago) + 1 AS DECIMAL(4, 0)
    ) AS DECIMAL(38, 8)) AS asset_365,
    CAST(0 AS DECIMAL(38, 8)) AS liability_365
  FROM spans AS s
  JOIN rate_spans AS r
    ON r.rate_key = s.loan_key AND r.kind = 'LOAN' AND r.first_days_ago >= s.last_days_ago AND r.last_days_ago <= s.first_days_ago
  WHERE s.loan_balance <> 0
),
earnings AS (
  SELECT e.customer_id, SUM(e.asset_365) AS asset_365, SUM(e.liability_365) AS liability_365
  FROM earned AS e
  GROUP BY e.customer_id
),
sums AS (
  SELECT
    s.customer_id,
    SUM(s.deposit_balance * CAST(s.first_days_ago - s.last_days_ago + 1 AS DECIMAL(4, 0))) AS deposit_days,
    SUM(s.loan_balance * CAST(s.first_days_ago - s.last_days_ago + 1 AS DECIMAL(4, 0))) AS loan_days,
    SUM(s.investment_value * CAST(s.first_days_ago - s.last_days_ago + 1 AS DECIMAL(4, 0))) AS investment_days,
    SUM(CASE WHEN s.is_position THEN s.deposit_balance ELSE CAST(0 AS DECIMAL(22, 8)) END) AS deposits,
    SUM(CASE WHEN s.is_position THEN s.loan_balance ELSE CAST(0 AS DECIMAL(22, 8)) END) AS loans,
    SUM(CASE WHEN s.is_position THEN s.investment_value ELSE CAST(0 AS DECIMAL(22, 8)) END) AS investments
  FROM spans AS s
  GROUP BY s.customer_id
)
SELECT
  s.customer_id AS customer_id,
  COALESCE(e.asset_365, CAST(0 AS DECIMAL(38, 8))) AS asset_365,
  COALESCE(e.liability_365, CAST(0 AS DECIMAL(38, 8))) AS liability_365,
  s.deposit_days AS deposit_days,
  s.loan_days AS loan_days,
  s.investment_days AS investment_days,
  s.deposits AS deposits,
  s.loans AS loans,
  s.investments AS investments
FROM sums AS s
LEFT JOIN earnings AS e ON e.customer_id = s.customer_id
