-- what: where each record that was set aside stands in its file, and why; no values
-- grain: record set aside; one place in two contents of one file name is said once
-- reads: rejects, balance_problems, deliveries
WITH places AS (
  SELECT r.table_name, r.file_name, r.line, r.column_name, r.reason
  FROM rejects AS r
  UNION ALL
  SELECT 'balances' AS table_name, d.file_name, p.line, 'account_id' AS column_name, p.reason
  FROM balance_problems AS p
  JOIN deliveries AS d ON d.source_file = p.source_file
)
SELECT
  CAST($as_of AS DATE) AS as_of_date,
  p.table_name AS table_name,
  p.file_name AS file_name,
  p.line AS line,
  MIN(p.column_name) AS column_name,
  p.reason AS reason
FROM places AS p
GROUP BY p.table_name, p.file_name, p.line, p.reason
