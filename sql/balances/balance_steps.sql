-- what: what stands together on a customer's accounts from one day on, until the next row; observation days are rows
-- grain: customer x day on which something begins, ends or is observed
-- reads: balance_spans
WITH
-- Asked for are the two windows of the trend, and the last observation day before them. What had ended by then adds
-- nothing to any later day.
eves AS (
  SELECT s.customer_id, MIN(s.days_ago) AS days_ago
  FROM balance_spans AS s
  WHERE s.days_ago >= $recent_days + $baseline_days
  GROUP BY s.customer_id
),
spans AS (
  SELECT
    s.customer_id, s.days_ago, s.first_days_ago, s.last_days_ago, s.unrated_last_days_ago, s.net_flow,
    s.deposit_balance + s.investment_value AS assets
  FROM balance_spans AS s
  LEFT JOIN eves AS e ON e.customer_id = s.customer_id
  WHERE e.days_ago IS NULL OR s.last_days_ago <= e.days_ago
),
changes AS (
  SELECT
    s.customer_id, s.first_days_ago AS days_ago, s.assets, 1 AS series,
    CASE WHEN s.unrated_last_days_ago IS NOT NULL THEN 1 ELSE 0 END AS unrated,
    0 AS observed, CAST(0 AS DECIMAL(22, 8)) AS net_flow, 0 AS flow_unknown
  FROM spans AS s
  UNION ALL
  SELECT
    s.customer_id, s.last_days_ago - 1 AS days_ago, -s.assets AS assets, -1 AS series, 0 AS unrated,
    0 AS observed, CAST(0 AS DECIMAL(22, 8)) AS net_flow, 0 AS flow_unknown
  FROM spans AS s
  WHERE s.last_days_ago > 0
  UNION ALL
  SELECT
    s.customer_id, s.unrated_last_days_ago - 1 AS days_ago, CAST(0 AS DECIMAL(23, 8)) AS assets, 0 AS series, -1 AS unrated,
    0 AS observed, CAST(0 AS DECIMAL(22, 8)) AS net_flow, 0 AS flow_unknown
  FROM spans AS s
  WHERE s.unrated_last_days_ago > 0
  UNION ALL
  SELECT
    s.customer_id, s.days_ago, CAST(0 AS DECIMAL(23, 8)) AS assets, 0 AS series, 0 AS unrated,
    1 AS observed, COALESCE(s.net_flow, CAST(0 AS DECIMAL(22, 8))) AS net_flow,
    CASE WHEN s.net_flow IS NULL THEN 1 ELSE 0 END AS flow_unknown
  FROM spans AS s
),
days AS (
  SELECT
    c.customer_id, c.days_ago, SUM(c.assets) AS assets, SUM(c.series) AS series, SUM(c.unrated) AS unrated,
    MAX(c.observed) AS observed, SUM(c.net_flow) AS net_flow, MAX(c.flow_unknown) AS flow_unknown
  FROM changes AS c
  GROUP BY c.customer_id, c.days_ago
)
SELECT
  d.customer_id AS customer_id,
  d.days_ago AS days_ago,
  COALESCE(LAG(d.days_ago) OVER (PARTITION BY d.customer_id ORDER BY d.days_ago) + 1, 0) AS last_days_ago,
  SUM(d.assets) OVER (PARTITION BY d.customer_id ORDER BY d.days_ago DESC) AS assets,
  SUM(d.series) OVER (PARTITION BY d.customer_id ORDER BY d.days_ago DESC) > 0 AS is_covered,
  SUM(d.unrated) OVER (PARTITION BY d.customer_id ORDER BY d.days_ago DESC) > 0 AS is_unrated,
  d.observed = 1 AS is_observed,
  d.flow_unknown = 1 AS flow_unknown,
  d.net_flow AS net_flow
FROM days AS d
