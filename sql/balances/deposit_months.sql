-- what: deposits of each complete calendar month: their average by day where observed daily, else what stood at its end
-- grain: customer x month with a balance
-- reads: balance_spans, calendar_days, calendar_months
WITH
-- A span is a month long at most, back and ahead, so that it touches three months at most.
pieces AS (
  SELECT s.customer_id, s.days_ago, s.first_days_ago, s.last_days_ago, s.deposit_balance, f.month_number AS month_number
  FROM balance_spans AS s
  JOIN calendar_days AS f ON f.days_ago = s.first_days_ago
  UNION ALL
  SELECT s.customer_id, s.days_ago, s.first_days_ago, s.last_days_ago, s.deposit_balance, f.month_number + 1 AS month_number
  FROM balance_spans AS s
  JOIN calendar_days AS f ON f.days_ago = s.first_days_ago
  JOIN calendar_days AS l ON l.days_ago = s.last_days_ago
  WHERE l.month_number > f.month_number
  UNION ALL
  SELECT s.customer_id, s.days_ago, s.first_days_ago, s.last_days_ago, s.deposit_balance, f.month_number + 2 AS month_number
  FROM balance_spans AS s
  JOIN calendar_days AS f ON f.days_ago = s.first_days_ago
  JOIN calendar_days AS l ON l.days_ago = s.last_days_ago
  WHERE l.month_number > f.month_number + 1
),
-- The first observation stands back into a month in which nobody had looked yet: that month is left out.
firsts AS (
  SELECT s.customer_id, MAX(s.days_ago) AS days_ago FROM balance_spans AS s GROUP BY s.customer_id
),
months AS (
  SELECT
    p.customer_id,
    p.month_number,
    m.first_days_ago,
    m.last_days_ago,
    SUM(p.deposit_balance * CAST(
      LEAST(p.first_days_ago, m.first_days_ago) - GREATEST(p.last_days_ago, m.last_days_ago) + 1 AS DECIMAL(4, 0)
    )) AS deposit_days,
    SUM(CASE WHEN p.last_days_ago <= m.last_days_ago THEN p.deposit_balance ELSE CAST(0 AS DECIMAL(22, 8)) END) AS month_end_deposits,
    SUM(CASE WHEN p.days_ago BETWEEN m.last_days_ago AND m.first_days_ago THEN 1 ELSE 0 END) AS observations
  FROM pieces AS p
  JOIN calendar_months AS m ON m.month_number = p.month_number
  JOIN firsts AS f ON f.customer_id = p.customer_id AND f.days_ago >= m.last_days_ago
  GROUP BY p.customer_id, p.month_number, m.first_days_ago, m.last_days_ago
),
-- Only who has so many observations can have so many different days of them.
observed_days AS (
  SELECT p.customer_id, p.month_number, p.days_ago
  FROM pieces AS p
  JOIN months AS m ON m.customer_id = p.customer_id AND m.month_number = p.month_number
  WHERE m.observations >= $daily_observations AND p.days_ago BETWEEN m.last_days_ago AND m.first_days_ago
  GROUP BY p.customer_id, p.month_number, p.days_ago
),
daily AS (
  SELECT o.customer_id, o.month_number, COUNT(*) AS days
  FROM observed_days AS o
  GROUP BY o.customer_id, o.month_number
),
judged AS (
  SELECT
    m.customer_id,
    m.month_number,
    m.month_number = $last_month AS is_last,
    CASE WHEN COALESCE(d.days, 0) >= $daily_observations THEN 'DAILY' ELSE 'MONTH_END' END AS basis,
    CASE WHEN COALESCE(d.days, 0) >= $daily_observations THEN m.deposit_days ELSE m.month_end_deposits END AS total,
    CASE WHEN COALESCE(d.days, 0) >= $daily_observations THEN m.first_days_ago - m.last_days_ago + 1 ELSE 1 END AS days
  FROM months AS m
  LEFT JOIN daily AS d ON d.customer_id = m.customer_id AND d.month_number = m.month_number
)
SELECT
  j.customer_id AS customer_id,
  j.month_number AS month_number,
  j.is_last AS is_last,
  j.basis AS basis,
  rounded_ratio(j.total, j.days) AS average_deposits,
  CASE WHEN j.total >= CAST($deposit_bound_1 AS DECIMAL(18, 2)) * CAST(j.days AS DECIMAL(4, 0)) THEN 1 ELSE 0 END
    + CASE WHEN j.total >= CAST($deposit_bound_2 AS DECIMAL(18, 2)) * CAST(j.days AS DECIMAL(4, 0)) THEN 1 ELSE 0 END
    + CASE WHEN j.total >= CAST($deposit_bound_3 AS DECIMAL(18, 2)) * CAST(j.days AS DECIMAL(4, 0)) THEN 1 ELSE 0 END AS raw_tier
FROM judged AS j
