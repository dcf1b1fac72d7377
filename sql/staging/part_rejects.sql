-- what: every record of one file that was set aside; `raw` stays in the private state folder
-- grain: rejected record
-- reads: typed_records, shape_rejects
SELECT
  CAST($table_name AS VARCHAR) AS table_name,
  CAST($file_name AS VARCHAR) AS file_name,
  t.line AS line,
  t.reject_column AS column_name,
  t.reject_reason AS reason,
  t.reject_text AS raw
FROM typed_records AS t
WHERE t.reject_reason IS NOT NULL
UNION ALL
SELECT
  CAST($table_name AS VARCHAR) AS table_name,
  CAST($file_name AS VARCHAR) AS file_name,
  s.line AS line,
  CAST(NULL AS VARCHAR) AS column_name,
  s.reason AS reason,
  s.raw AS raw
FROM shape_rejects AS s
