-- what: how many holdings of each product were opened so many days ago or closed after so many days
-- grain: product x duration x whether it has ended
-- reads: holdings
WITH lives AS (
  SELECT
    h.product_type,
    h.closed_on IS NOT NULL AND h.closed_on <= CAST($as_of AS DATE) AS has_ended,
    DATE_DIFF('day', h.opened_on, CASE WHEN h.closed_on <= CAST($as_of AS DATE) THEN h.closed_on ELSE CAST($as_of AS DATE) END) AS duration_days
  FROM holdings AS h
  WHERE h.opened_on <= CAST($as_of AS DATE)
)
SELECT l.product_type AS product_type, l.duration_days AS duration_days, l.has_ended AS has_ended, COUNT(*) AS holdings
FROM lives AS l
GROUP BY l.product_type, l.duration_days, l.has_ended
ORDER BY product_type, duration_days, has_ended
