-- what: of which extracts with days of their own, and of which of their columns, anything is told by as_of
-- grain: parameter of later queries
-- reads: balances, rates, costs, holdings
WITH known_balances AS (
  -- What nobody has told for a year is not known any more.
  SELECT b.deposit_balance, b.loan_balance, b.investment_value
  FROM balances AS b
  WHERE DATE_DIFF('day', b.date, CAST($as_of AS DATE)) BETWEEN 0 AND 364
),
known_holdings AS (
  SELECT h.is_mobile, COALESCE(h.extract_date <= CAST($as_of AS DATE), $known_at IS NULL) AS is_dated
  FROM holdings AS h
  WHERE h.opened_on <= CAST($as_of AS DATE)
)
SELECT 'has_balances' AS name, COUNT(*) > 0 AS is_told
FROM known_balances AS b
UNION ALL
SELECT 'has_deposits' AS name, COUNT(b.deposit_balance) > 0 AS is_told
FROM known_balances AS b
UNION ALL
SELECT 'has_loans' AS name, COUNT(b.loan_balance) > 0 AS is_told
FROM known_balances AS b
UNION ALL
SELECT 'has_investments' AS name, COUNT(b.investment_value) > 0 AS is_told
FROM known_balances AS b
UNION ALL
SELECT 'has_rates' AS name, COUNT(*) > 0 AS is_told
FROM rates AS r
WHERE r.valid_from <= CAST($as_of AS DATE)
UNION ALL
SELECT 'has_costs' AS name, COUNT(*) > 0 AS is_told
FROM costs AS c
WHERE c.valid_from <= CAST($as_of AS DATE)
UNION ALL
SELECT 'tells_mobile' AS name, COUNT(h.is_mobile) > 0 AS is_told
FROM known_holdings AS h
UNION ALL
SELECT 'has_mobile' AS name, COUNT(CASE WHEN h.is_dated THEN h.is_mobile END) > 0 AS is_told
FROM known_holdings AS h
