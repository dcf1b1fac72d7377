-- what: the summary adds up to the detail in every dimension and label, in customers and in money; a row is one that does not
-- grain: offence
-- reads: segment_summary, customer_segments
-- severity: BLOCKS
WITH detail AS (
  SELECT
    COUNT(*) AS customers,
    SUM(COALESCE(c.current_value, CAST(0 AS DECIMAL(18, 2)))) AS current_value,
    COUNT(c.current_value) AS current_value_known,
    SUM(COALESCE(c.clv_12m, CAST(0 AS DECIMAL(18, 2)))) AS clv_12m,
    COUNT(c.clv_12m) AS clv_12m_known
  FROM customer_segments AS c
),
-- Suppressed rows are NULL, and are in the sums by their remainder.
labels AS (
  SELECT
    s.dimension, s.scheme, s.label,
    SUM(s.customers) AS customers,
    SUM(s.current_value) AS current_value,
    SUM(s.current_value_known) AS current_value_known,
    SUM(s.clv_12m) AS clv_12m,
    SUM(s.clv_12m_known) AS clv_12m_known
  FROM segment_summary AS s
  GROUP BY s.dimension, s.scheme, s.label
),
schemes AS (
  SELECT
    l.dimension, l.scheme,
    SUM(l.customers) AS customers,
    SUM(l.current_value) AS current_value,
    SUM(l.current_value_known) AS current_value_known,
    SUM(l.clv_12m) AS clv_12m,
    SUM(l.clv_12m_known) AS clv_12m_known
  FROM labels AS l
  GROUP BY l.dimension, l.scheme
)
SELECT
  s.dimension AS dimension, s.scheme AS scheme, 'every label' AS label
FROM schemes AS s
CROSS JOIN detail AS d
WHERE s.customers <> d.customers OR s.current_value <> d.current_value OR s.clv_12m <> d.clv_12m
  OR s.current_value_known <> d.current_value_known OR s.clv_12m_known <> d.clv_12m_known
UNION ALL
SELECT
  l.dimension AS dimension, l.scheme AS scheme, l.label AS label
FROM labels AS l
LEFT JOIN labels AS a ON a.dimension = 'ALL' AND a.scheme = l.scheme AND a.label = l.label
WHERE a.label IS NULL OR l.customers IS NULL
  OR l.customers <> a.customers OR l.current_value <> a.current_value OR l.clv_12m <> a.clv_12m
  OR l.current_value_known <> a.current_value_known OR l.clv_12m_known <> a.clv_12m_known
