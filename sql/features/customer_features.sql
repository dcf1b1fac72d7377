-- what: everything that models, tests and labels need to know of a customer's transactions, and since when it is one
-- grain: customer
-- reads: customers, purchase_days, purchase_gaps, holding_features
WITH months AS (
  SELECT d.customer_id, (d.days_ago * 12) // 365 AS month_ago, COUNT(*) AS purchases
  FROM purchase_days AS d
  WHERE d.days_ago < 365
  GROUP BY d.customer_id, (d.days_ago * 12) // 365
),
monthly AS (
  SELECT m.customer_id, COUNT(*) AS active_months, SUM(m.purchases) AS purchases, SUM(m.purchases * m.purchases) AS squares
  FROM months AS m
  GROUP BY m.customer_id
),
-- The first purchase day opens the exposure of a baseline, so it is not counted in it.
windows AS (
  SELECT
    d.customer_id,
    MIN(d.purchase_day) AS first_purchase_day,
    MAX(d.purchase_day) AS last_purchase_day,
    COUNT(*) AS purchase_days_total,
    MAX(d.days_ago) AS t_days,
    MIN(d.days_ago) AS recency_days,
    SUM(d.contribution) AS contribution_total,
    SUM(CASE WHEN d.days_ago < 365 THEN d.contribution ELSE CAST(0 AS DECIMAL(38, 8)) END) AS contribution_12m,
    SUM(CASE WHEN d.purchase_number > 1 THEN d.contribution ELSE CAST(0 AS DECIMAL(38, 8)) END) AS repeat_contribution,
    SUM(CASE WHEN d.days_ago < $window_days THEN 1 ELSE 0 END) AS rfm_purchase_days,
    SUM(CASE WHEN d.days_ago < $window_days THEN d.contribution ELSE CAST(0 AS DECIMAL(38, 8)) END) AS rfm_contribution,
    SUM(CASE WHEN d.days_ago < $recent_days THEN 1 ELSE 0 END) AS short_purchases,
    SUM(CASE WHEN d.purchase_number > 1 AND d.days_ago >= $recent_days AND d.days_ago < $recent_days + $baseline_days THEN 1 ELSE 0 END) AS short_baseline,
    SUM(CASE WHEN d.days_ago < $long_recent_days THEN 1 ELSE 0 END) AS long_purchases,
    SUM(CASE WHEN d.purchase_number > 1 AND d.days_ago >= $long_recent_days AND d.days_ago < $long_recent_days + $baseline_days THEN 1 ELSE 0 END) AS long_baseline
  FROM purchase_days AS d
  GROUP BY d.customer_id
),
exposed AS (
  SELECT
    w.customer_id,
    LEAST($baseline_days, w.t_days - $recent_days) AS short_days,
    LEAST($baseline_days, w.t_days - $long_recent_days) AS long_days
  FROM windows AS w
),
tested AS (
  SELECT
    w.customer_id,
    e.long_days >= $baseline_minimum_days AND w.long_baseline >= $baseline_minimum_purchases AS has_long,
    e.short_days >= $baseline_minimum_days AND w.short_baseline >= $baseline_minimum_purchases
      AND w.short_baseline * $recent_days >= $recent_minimum_expected * e.short_days AS has_short
  FROM windows AS w
  JOIN exposed AS e ON e.customer_id = w.customer_id
)
SELECT
  c.customer_id AS customer_id,
  -- The relationship starts with the earliest purchase or holding.
  LEAST(w.first_purchase_day, h.first_opened_on) AS relationship_start,
  GREATEST(w.t_days, h.first_opened_days_ago) AS relationship_days,
  w.first_purchase_day AS first_purchase_day,
  w.last_purchase_day AS last_purchase_day,
  COALESCE(w.purchase_days_total, 0) AS purchase_days_total,
  COALESCE(w.contribution_total, CAST(0 AS DECIMAL(38, 8))) AS contribution_total,
  COALESCE(w.contribution_12m, CAST(0 AS DECIMAL(38, 8))) AS contribution_12m,
  w.purchase_days_total - 1 AS frequency,
  w.t_days - w.recency_days AS t_x_days,
  w.t_days AS t_days,
  w.repeat_contribution AS repeat_contribution,
  w.recency_days AS recency_days,
  COALESCE(w.rfm_purchase_days, 0) AS rfm_purchase_days,
  COALESCE(w.rfm_contribution, CAST(0 AS DECIMAL(38, 8))) AS rfm_contribution,
  COALESCE(g.gaps, 0) AS gaps,
  g.own_gap_days AS own_gap_days,
  g.longest_gap_days AS longest_gap_days,
  GREATEST(
    CAST($churn_days AS DECIMAL(10, 1)),
    COALESCE(CAST(CAST($churn_gap_multiple AS DECIMAL(9, 4)) * g.own_gap_days AS DECIMAL(10, 1)), CAST(0 AS DECIMAL(10, 1)))
  ) AS churn_gap_days,
  COALESCE(g.reactivated, FALSE) AS reactivated,
  CASE WHEN t.has_short THEN $recent_days WHEN t.has_long THEN $long_recent_days END AS trend_window_days,
  CASE WHEN t.has_short THEN w.short_purchases WHEN t.has_long THEN w.long_purchases END AS trend_purchases,
  CASE WHEN t.has_short THEN w.short_baseline WHEN t.has_long THEN w.long_baseline END AS trend_baseline_purchases,
  CASE WHEN t.has_short THEN e.short_days WHEN t.has_long THEN e.long_days END AS trend_baseline_days,
  CASE WHEN t.has_long THEN w.long_purchases END AS growth_purchases,
  CASE WHEN t.has_long THEN w.long_baseline END AS growth_baseline_purchases,
  CASE WHEN t.has_long THEN e.long_days END AS growth_baseline_days,
  COALESCE(m.active_months, 0) AS active_months,
  COALESCE(m.purchases, 0) AS month_purchases,
  COALESCE(m.squares, 0) AS month_purchases_squared
FROM customers AS c
LEFT JOIN windows AS w ON w.customer_id = c.customer_id
LEFT JOIN exposed AS e ON e.customer_id = c.customer_id
LEFT JOIN tested AS t ON t.customer_id = c.customer_id
LEFT JOIN purchase_gaps AS g ON g.customer_id = c.customer_id
LEFT JOIN monthly AS m ON m.customer_id = c.customer_id
LEFT JOIN holding_features AS h ON h.customer_id = c.customer_id
