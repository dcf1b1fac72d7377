-- what: the cells of the summary as they are published: those that may be shown, those that are suppressed, and the sum of
--   the suppressed ones of each label
-- grain: dimension x cell x member x scheme x label
-- reads: summary_cells, suppressed_cells
WITH marked AS (
  SELECT
    c.dimension, c.cell, c.member, c.scheme, c.label, s.label IS NOT NULL AS is_suppressed,
    c.customers, c.current_value, c.current_value_known, c.clv_12m, c.clv_12m_known
  FROM summary_cells AS c
  LEFT JOIN suppressed_cells AS s
    ON s.dimension = c.dimension AND s.cell = c.cell AND s.member = c.member AND s.scheme = c.scheme AND s.label = c.label
),
members AS (
  SELECT c.dimension, c.cell, c.member, SUM(c.customers) AS customers
  FROM summary_cells AS c
  WHERE c.scheme = 'lifecycle_state'
  GROUP BY c.dimension, c.cell, c.member
),
everyone AS (
  SELECT m.customers FROM members AS m WHERE m.dimension = 'ALL'
),
remainders AS (
  -- Some labels have nobody in any suppressed cell; their sum is zero all the same.
  SELECT
    s.dimension, s.scheme, s.label,
    SUM(COALESCE(c.customers, 0)) AS customers,
    SUM(COALESCE(c.current_value, CAST(0 AS DECIMAL(18, 2)))) AS current_value,
    SUM(COALESCE(c.current_value_known, 0)) AS current_value_known,
    SUM(COALESCE(c.clv_12m, CAST(0 AS DECIMAL(18, 2)))) AS clv_12m,
    SUM(COALESCE(c.clv_12m_known, 0)) AS clv_12m_known
  FROM suppressed_cells AS s
  LEFT JOIN summary_cells AS c
    ON c.dimension = s.dimension AND c.cell = s.cell AND c.member = s.member AND c.scheme = s.scheme AND c.label = s.label
  GROUP BY s.dimension, s.scheme, s.label
),
rows_shown AS (
  SELECT
    c.dimension, c.cell, c.member, c.scheme, c.label, c.customers,
    CASE WHEN c.cell = 'MEMBER' THEN m.customers ELSE e.customers END AS customers_in_all,
    c.current_value, c.current_value_known, c.clv_12m, c.clv_12m_known
  FROM marked AS c
  JOIN members AS m ON m.dimension = c.dimension AND m.cell = c.cell AND m.member = c.member
  CROSS JOIN everyone AS e
  WHERE NOT c.is_suppressed
  UNION ALL
  SELECT
    r.dimension, 'REMAINDER' AS cell, '' AS member, r.scheme, r.label, r.customers,
    e.customers AS customers_in_all,
    r.current_value, r.current_value_known, r.clv_12m, r.clv_12m_known
  FROM remainders AS r
  CROSS JOIN everyone AS e
  UNION ALL
  SELECT
    s.dimension, s.cell, s.member, s.scheme, s.label, NULL AS customers,
    NULL AS customers_in_all,
    NULL AS current_value, NULL AS current_value_known, NULL AS clv_12m, NULL AS clv_12m_known
  FROM suppressed_cells AS s
)
SELECT
  CAST($as_of AS DATE) AS as_of_date,
  r.dimension AS dimension,
  r.cell AS cell,
  CASE WHEN r.cell = 'MEMBER' THEN r.member END AS member,
  r.scheme AS scheme,
  r.label AS label,
  r.customers AS customers,
  CAST(r.customers AS DOUBLE) / NULLIF(CAST(r.customers_in_all AS DOUBLE), 0) AS customer_share,
  r.current_value AS current_value,
  r.current_value_known AS current_value_known,
  r.clv_12m AS clv_12m,
  r.clv_12m_known AS clv_12m_known,
  CASE WHEN r.customers IS NULL THEN 'SUPPRESSED' ELSE 'OK' END AS summary_status,
  CASE WHEN r.customers IS NULL THEN 'SMALL_CELL' END AS summary_reason
FROM rows_shown AS r
