-- what: the earliest delivery of the records of one file that can be loaded
-- grain: parameter of the part's own facts
-- reads: typed_records
SELECT MIN(t.extract_date) AS delivered_on
FROM typed_records AS t
WHERE t.reject_reason IS NULL
