-- what: what each customer's balances are, were on average, have earned, and whether they fall
-- grain: customer with a balance in the windows of the trend
-- reads: balance_trends, balance_income
SELECT
  t.customer_id AS customer_id,
  COALESCE(i.deposits, CAST(0 AS DECIMAL(22, 8))) AS deposits,
  COALESCE(i.loans, CAST(0 AS DECIMAL(22, 8))) AS loans,
  COALESCE(i.investments, CAST(0 AS DECIMAL(22, 8))) AS investments,
  COALESCE(i.asset_365, CAST(0 AS DECIMAL(38, 8))) AS asset_365,
  COALESCE(i.liability_365, CAST(0 AS DECIMAL(38, 8))) AS liability_365,
  COALESCE(i.deposit_days, CAST(0 AS DECIMAL(38, 8))) AS deposit_days,
  COALESCE(i.loan_days, CAST(0 AS DECIMAL(38, 8))) AS loan_days,
  COALESCE(i.investment_days, CAST(0 AS DECIMAL(38, 8))) AS investment_days,
  t.covered_days AS covered_days,
  t.unrated_days AS unrated_days,
  -- Means are compared by cross-multiplication, exactly.
  t.recent_days >= $falling_minimum_recent_days AND t.prior_days >= $falling_minimum_prior_days
    AND t.recent_sum * CAST(t.prior_days AS DECIMAL(5, 0))
      <= CAST($falling_ratio AS DECIMAL(9, 4)) * (t.prior_sum * CAST(t.recent_days AS DECIMAL(5, 0)))
    AND t.prior_sum * CAST(t.recent_days AS DECIMAL(5, 0)) - t.recent_sum * CAST(t.prior_days AS DECIMAL(5, 0))
      >= CAST($decline_amount AS DECIMAL(18, 2)) * CAST(t.recent_days * t.prior_days AS DECIMAL(9, 0))
    AS balances_falling
FROM balance_trends AS t
LEFT JOIN balance_income AS i ON i.customer_id = t.customer_id
