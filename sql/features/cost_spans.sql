-- what: what something costs while a price is in force, in days counted back from as_of
-- grain: cost kind x channel x period
-- reads: costs
WITH known AS (
  SELECT c.cost_kind, COALESCE(c.channel, '') AS channel, c.unit_cost, DATE_DIFF('day', c.valid_from, CAST($as_of AS DATE)) AS first_days_ago
  FROM costs AS c
  WHERE c.valid_from <= CAST($as_of AS DATE)
)
SELECT
  k.cost_kind AS cost_kind,
  k.channel AS channel,
  k.first_days_ago AS first_days_ago,
  COALESCE(LAG(k.first_days_ago) OVER (PARTITION BY k.cost_kind, k.channel ORDER BY k.first_days_ago) + 1, 0) AS last_days_ago,
  k.unit_cost AS unit_cost
FROM known AS k
