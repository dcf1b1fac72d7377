-- what: the current value of who has a relationship, in parts and whole, each rounded once; NULL where no extract tells
-- grain: customer
-- reads: customer_features, balance_features, customer_costs, other_fees
WITH parts AS (
  SELECT
    f.customer_id,
    f.relationship_days IS NOT NULL AS has_relationship,
    f.contribution_12m + COALESCE(o.fees, CAST(0 AS DECIMAL(38, 8))) AS intermediary,
    f.contribution_total,
    COALESCE(b.asset_365, CAST(0 AS DECIMAL(38, 8))) AS asset_365,
    COALESCE(b.liability_365, CAST(0 AS DECIMAL(38, 8))) AS liability_365,
    COALESCE(b.deposit_days, CAST(0 AS DECIMAL(38, 8))) AS deposit_days,
    COALESCE(b.loan_days, CAST(0 AS DECIMAL(38, 8))) AS loan_days,
    COALESCE(b.investment_days, CAST(0 AS DECIMAL(38, 8))) AS investment_days,
    COALESCE(b.covered_days, 0) AS covered_days,
    COALESCE(b.unrated_days, 0) AS unrated_days,
    c.maintenance_12m_365 + CASE WHEN f.relationship_days < 365 THEN c.new_cost ELSE CAST(0 AS DECIMAL(22, 8)) END * 365 AS cost_12m_365,
    c.maintenance_365 + c.new_cost * 365 AS cost_365
  FROM customer_features AS f
  LEFT JOIN balance_features AS b ON b.customer_id = f.customer_id
  LEFT JOIN customer_costs AS c ON c.customer_id = f.customer_id
  LEFT JOIN other_fees AS o ON o.customer_id = f.customer_id
)
SELECT
  p.customer_id AS customer_id,
  CASE WHEN p.has_relationship AND $has_balance_income AND $has_loans THEN rounded_ratio(p.asset_365, 365) END AS asset_value_12m,
  CASE WHEN p.has_relationship AND $has_balance_income AND $has_deposits THEN rounded_ratio(p.liability_365, 365) END AS liability_value_12m,
  CASE WHEN p.has_relationship AND $has_balance_income THEN p.unrated_days END AS rates_missing_days,
  CASE WHEN p.has_relationship THEN p.intermediary END AS intermediary_value_12m,
  CASE WHEN p.has_relationship AND $has_costs THEN rounded_ratio(p.cost_12m_365, 365) END AS cost_12m,
  CASE WHEN p.has_relationship THEN
    rounded_ratio(
      p.intermediary * 365
        + CASE WHEN $has_balance_income THEN p.asset_365 + p.liability_365 ELSE CAST(0 AS DECIMAL(38, 8)) END
        - CASE WHEN $has_costs THEN p.cost_12m_365 ELSE CAST(0 AS DECIMAL(38, 8)) END,
      365
    )
  END AS current_value,
  CASE WHEN $has_deposits THEN COALESCE(rounded_ratio(p.deposit_days, p.covered_days), CAST(0 AS DECIMAL(18, 2))) END AS average_deposit_12m,
  CASE WHEN $has_loans THEN COALESCE(rounded_ratio(p.loan_days, p.covered_days), CAST(0 AS DECIMAL(18, 2))) END AS average_loan_12m,
  CASE WHEN $has_investments THEN COALESCE(rounded_ratio(p.investment_days, p.covered_days), CAST(0 AS DECIMAL(18, 2))) END AS average_investment_12m,
  CASE WHEN $has_balances THEN p.covered_days END AS balance_covered_days,
  CASE WHEN p.has_relationship AND $has_costs THEN p.contribution_total * 365 > p.cost_365 END AS payback_reached
FROM parts AS p
