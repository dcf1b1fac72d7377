-- what: of which extracts with days of their own anything is told by as_of, and whether mobile use is
-- grain: parameter of later queries
-- reads: balances, rates, costs, holdings
SELECT 'has_balances' AS name, COUNT(*) > 0 AS is_told
FROM balances AS b
-- What nobody has told for a year is not known any more.
WHERE DATE_DIFF('day', b.date, CAST($as_of AS DATE)) BETWEEN 0 AND 364
UNION ALL
SELECT 'has_rates' AS name, COUNT(*) > 0 AS is_told
FROM rates AS r
WHERE r.valid_from <= CAST($as_of AS DATE)
UNION ALL
SELECT 'has_costs' AS name, COUNT(*) > 0 AS is_told
FROM costs AS c
WHERE c.valid_from <= CAST($as_of AS DATE)
UNION ALL
SELECT 'has_mobile' AS name, COUNT(h.is_mobile) > 0 AS is_told
FROM holdings AS h
