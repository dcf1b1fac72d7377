-- what: what each customer has cost, once and by day: in the last 365 days, and from the start of the relationship
-- grain: customer with a relationship
-- reads: customer_features, customer_positions, cost_spans
WITH maintained AS (
  SELECT
    f.customer_id,
    f.relationship_days,
    -- A customer is new for a while; the days after that cost a share of the yearly amount each.
    f.relationship_days - $new_days - 1 AS first_days_ago,
    -- Who has left for good costs nothing any more from the day after the last purchase or closing on.
    CASE
      WHEN p.debts_settled AND COALESCE(f.recency_days, p.closed_days_ago) >= $terminated_days
        THEN LEAST(COALESCE(f.recency_days, p.closed_days_ago), COALESCE(p.closed_days_ago, f.recency_days))
      ELSE 0
    END AS ended_days_ago
  FROM customer_features AS f
  JOIN customer_positions AS p ON p.customer_id = f.customer_id
  WHERE f.relationship_days IS NOT NULL
),
maintenance AS (
  SELECT
    m.customer_id,
    SUM(c.unit_cost * CAST(GREATEST(0, LEAST(m.first_days_ago, c.first_days_ago) - GREATEST(m.ended_days_ago, c.last_days_ago) + 1) AS DECIMAL(6, 0))) AS cost_365,
    SUM(c.unit_cost * CAST(GREATEST(0, LEAST(m.first_days_ago, c.first_days_ago, 364) - GREATEST(m.ended_days_ago, c.last_days_ago) + 1) AS DECIMAL(6, 0))) AS cost_12m_365
  FROM maintained AS m
  JOIN cost_spans AS c ON c.cost_kind = 'MAINTAIN' AND c.channel = '' AND c.last_days_ago <= m.first_days_ago
  GROUP BY m.customer_id
)
SELECT
  m.customer_id AS customer_id,
  COALESCE(n.unit_cost, CAST(0 AS DECIMAL(22, 8))) AS new_cost,
  COALESCE(y.cost_365, CAST(0 AS DECIMAL(38, 8))) AS maintenance_365,
  COALESCE(y.cost_12m_365, CAST(0 AS DECIMAL(38, 8))) AS maintenance_12m_365
FROM maintained AS m
LEFT JOIN cost_spans AS n
  ON n.cost_kind = 'NEW' AND n.channel = '' AND m.relationship_days BETWEEN n.last_days_ago AND n.first_days_ago
LEFT JOIN maintenance AS y ON y.customer_id = m.customer_id
