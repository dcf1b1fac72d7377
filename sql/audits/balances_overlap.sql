-- what: balances of a customer on a day on which the accounts have their own; the accounts' stand, these are set aside
-- grain: offence
-- reads: balance_problems
-- severity: WARNS
-- subject: balances
SELECT
  s.source_file AS source_file,
  s.line AS line
FROM balance_problems AS s
WHERE s.reason = 'OVERLAP'
