-- what: each customer's median gap between purchase days, and whether a silence beyond the churn gap has just ended
-- grain: customer with at least one gap
-- reads: purchase_days
WITH ranked AS (
  SELECT
    d.customer_id,
    d.gap_days,
    ROW_NUMBER() OVER (PARTITION BY d.customer_id ORDER BY d.gap_days) AS place,
    COUNT(*) OVER (PARTITION BY d.customer_id) AS gaps,
    MAX(d.gap_days) OVER (PARTITION BY d.customer_id) AS longest
  FROM purchase_days AS d
  WHERE d.gap_days IS NOT NULL
),
-- The middle one of an odd number, the middle two of an even number; twice the median is a whole number.
medians AS (
  SELECT
    r.customer_id, MAX(r.gaps) AS gaps, MAX(r.longest) AS longest_gap_days,
    SUM(CASE WHEN 2 * r.place = r.gaps + 1 THEN 2 * r.gap_days ELSE r.gap_days END) AS twice_median
  FROM ranked AS r
  WHERE 2 * r.place BETWEEN r.gaps AND r.gaps + 2
  GROUP BY r.customer_id
),
returns AS (
  SELECT d.customer_id, d.purchase_number AS return_number, d.gap_days AS silence_days
  FROM purchase_days AS d
  WHERE d.days_ago < $return_days AND d.gap_days > $churn_days
),
-- The own gap of a silence is the median of the gaps before it.
ranked_before AS (
  SELECT
    r.customer_id,
    r.return_number,
    r.silence_days,
    d.gap_days,
    ROW_NUMBER() OVER (PARTITION BY r.customer_id, r.return_number ORDER BY d.gap_days) AS place,
    COUNT(*) OVER (PARTITION BY r.customer_id, r.return_number) AS gaps
  FROM returns AS r
  JOIN purchase_days AS d ON d.customer_id = r.customer_id AND d.purchase_number < r.return_number AND d.gap_days IS NOT NULL
),
medians_before AS (
  SELECT b.customer_id, b.return_number, SUM(CASE WHEN 2 * b.place = b.gaps + 1 THEN 2 * b.gap_days ELSE b.gap_days END) AS twice_median
  FROM ranked_before AS b
  WHERE 2 * b.place BETWEEN b.gaps AND b.gaps + 2
  GROUP BY b.customer_id, b.return_number
),
-- Without a gap before, the churn gap is churn_days alone, which `returns` has tested already.
reactivated AS (
  SELECT r.customer_id, COUNT(*) AS returns
  FROM returns AS r
  LEFT JOIN medians_before AS m ON m.customer_id = r.customer_id AND m.return_number = r.return_number
  WHERE m.twice_median IS NULL OR 2 * r.silence_days > CAST($churn_gap_multiple AS DECIMAL(9, 4)) * m.twice_median
  GROUP BY r.customer_id
)
SELECT
  m.customer_id AS customer_id,
  m.gaps AS gaps,
  CAST(m.twice_median AS DECIMAL(10, 1)) * CAST(0.5 AS DECIMAL(2, 1)) AS own_gap_days,
  m.longest_gap_days AS longest_gap_days,
  a.returns IS NOT NULL AS reactivated
FROM medians AS m
LEFT JOIN reactivated AS a ON a.customer_id = m.customer_id
