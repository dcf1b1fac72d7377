-- what: covered days, and deposits and investments net of revaluation: sums by day of the recent and the prior window
-- grain: customer with a balance
-- reads: balance_steps
WITH
-- A revaluation is the change between two observation days that no money moved; where a flow is not told, all of it is flow.
changes AS (
  SELECT
    s.customer_id,
    s.days_ago,
    s.last_days_ago,
    s.is_covered,
    s.is_unrated,
    s.is_observed,
    s.flow_unknown,
    s.assets,
    s.assets - LAG(s.assets) OVER (PARTITION BY s.customer_id, s.is_observed ORDER BY s.days_ago DESC) - s.net_flow AS unmoved
  FROM balance_steps AS s
),
revaluations AS (
  SELECT
    c.customer_id,
    c.days_ago,
    c.last_days_ago,
    c.is_covered,
    c.is_unrated,
    c.assets,
    CASE
      WHEN c.is_observed AND NOT c.flow_unknown AND c.days_ago < $recent_days + $baseline_days
        THEN COALESCE(c.unmoved, CAST(0 AS DECIMAL(38, 8)))
      ELSE CAST(0 AS DECIMAL(38, 8))
    END AS revaluation
  FROM changes AS c
),
adjusted AS (
  SELECT
    r.customer_id,
    r.days_ago,
    r.last_days_ago,
    r.is_covered,
    r.is_unrated,
    r.assets - SUM(r.revaluation) OVER (PARTITION BY r.customer_id ORDER BY r.days_ago DESC) AS assets
  FROM revaluations AS r
),
overlaps AS (
  SELECT
    a.customer_id,
    a.assets,
    a.is_covered,
    a.is_unrated,
    GREATEST(0, LEAST(a.days_ago, 364) - a.last_days_ago + 1) AS year_days,
    GREATEST(0, LEAST(a.days_ago, $recent_days - 1) - a.last_days_ago + 1) AS recent_days,
    GREATEST(0, LEAST(a.days_ago, $recent_days + $baseline_days - 1) - GREATEST(a.last_days_ago, $recent_days) + 1) AS prior_days
  FROM adjusted AS a
  WHERE a.last_days_ago < $recent_days + $baseline_days AND (a.is_covered OR a.is_unrated)
)
SELECT
  o.customer_id AS customer_id,
  SUM(CASE WHEN o.is_covered THEN o.year_days ELSE 0 END) AS covered_days,
  SUM(CASE WHEN o.is_unrated THEN o.year_days ELSE 0 END) AS unrated_days,
  SUM(CASE WHEN o.is_covered THEN o.recent_days ELSE 0 END) AS recent_days,
  SUM(CASE WHEN o.is_covered THEN o.prior_days ELSE 0 END) AS prior_days,
  SUM(CASE WHEN o.is_covered THEN o.assets * CAST(o.recent_days AS DECIMAL(4, 0)) ELSE CAST(0 AS DECIMAL(38, 8)) END) AS recent_sum,
  SUM(CASE WHEN o.is_covered THEN o.assets * CAST(o.prior_days AS DECIMAL(4, 0)) ELSE CAST(0 AS DECIMAL(38, 8)) END) AS prior_sum
FROM overlaps AS o
GROUP BY o.customer_id
