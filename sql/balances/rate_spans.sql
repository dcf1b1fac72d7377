-- what: what a balance earns a year while a rate is in force, in days counted back from as_of
-- grain: rate key x kind of balance x period
-- reads: rates
WITH known AS (
  SELECT
    r.rate_key,
    DATE_DIFF('day', r.valid_from, CAST($as_of AS DATE)) AS first_days_ago,
    r.funding_rate - r.customer_rate AS deposit_margin,
    r.customer_rate - r.funding_rate - COALESCE(r.expected_loss_rate, CAST(0 AS DECIMAL(9, 8))) AS loan_margin
  FROM rates AS r
  WHERE r.valid_from <= CAST($as_of AS DATE)
),
periods AS (
  SELECT
    k.rate_key,
    k.first_days_ago,
    COALESCE(LAG(k.first_days_ago) OVER (PARTITION BY k.rate_key ORDER BY k.first_days_ago) + 1, 0) AS last_days_ago,
    MAX(k.first_days_ago) OVER (PARTITION BY k.rate_key) AS own_days_ago,
    k.deposit_margin,
    k.loan_margin
  FROM known AS k
),
kinds AS (
  SELECT 'DEPOSIT' AS kind UNION ALL SELECT 'LOAN' AS kind
),
products AS (
  SELECT p.rate_key, MAX(p.own_days_ago) AS own_days_ago
  FROM periods AS p
  WHERE p.rate_key <> 'DEPOSIT' AND p.rate_key <> 'LOAN'
  GROUP BY p.rate_key
),
-- Until a product has rates of its own it earns by the general ones.
spans AS (
  SELECT p.rate_key, k.kind, p.first_days_ago, p.last_days_ago, CASE k.kind WHEN 'DEPOSIT' THEN p.deposit_margin ELSE p.loan_margin END AS margin
  FROM periods AS p
  JOIN kinds AS k ON k.kind = p.rate_key OR (p.rate_key <> 'DEPOSIT' AND p.rate_key <> 'LOAN')
  UNION ALL
  SELECT
    o.rate_key, g.rate_key AS kind, g.first_days_ago, GREATEST(g.last_days_ago, o.own_days_ago + 1) AS last_days_ago,
    CASE g.rate_key WHEN 'DEPOSIT' THEN g.deposit_margin ELSE g.loan_margin END AS margin
  FROM products AS o
  JOIN periods AS g ON (g.rate_key = 'DEPOSIT' OR g.rate_key = 'LOAN') AND g.first_days_ago > o.own_days_ago
)
SELECT
  s.rate_key AS rate_key,
  s.kind AS kind,
  s.first_days_ago AS first_days_ago,
  s.last_days_ago AS last_days_ago,
  MAX(s.first_days_ago) OVER (PARTITION BY s.rate_key, s.kind) AS rated_days_ago,
  s.margin AS margin
FROM spans AS s
