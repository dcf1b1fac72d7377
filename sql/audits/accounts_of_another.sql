-- what: balances of an account that only other customers hold; they are set aside
-- grain: offence
-- reads: balance_problems
-- severity: WARNS
-- subject: balances
SELECT
  s.source_file AS source_file,
  s.line AS line
FROM balance_problems AS s
WHERE s.reason = 'ACCOUNT_OF_ANOTHER'
