-- what: customers who look alike, in the whole bank and by branch and community: one row a combination of labels
-- grain: dimension x cell x member x combination
-- reads: customer_segments
WITH dimensions AS (
  SELECT 'ALL' AS dimension UNION ALL SELECT 'BRANCH' AS dimension UNION ALL SELECT 'COMMUNITY' AS dimension
),
labelled AS (
  SELECT
    d.dimension,
    CASE d.dimension WHEN 'BRANCH' THEN c.branch WHEN 'COMMUNITY' THEN c.community END AS member,
    c.lifecycle_state AS lifecycle_state,
    c.stage5 AS stage5,
    c.relationship5 AS relationship5,
    c.icbc6 AS icbc6,
    c.stage4 AS stage4,
    COALESCE(c.quadrant, c.quadrant_status) AS quadrant,
    COALESCE(c.value_tier, c.value_tier_status) AS value_tier,
    COALESCE(c.deposit_tier, c.deposit_tier_status) AS deposit_tier,
    COALESCE(c.rfm_group, c.rfm_status) AS rfm_group,
    c.current_value,
    c.clv_12m
  FROM customer_segments AS c
  CROSS JOIN dimensions AS d
)
SELECT
  l.dimension AS dimension,
  CASE WHEN l.dimension = 'ALL' THEN 'ALL' WHEN l.member IS NULL THEN 'UNKNOWN' ELSE 'MEMBER' END AS cell,
  COALESCE(l.member, '') AS member,
  l.lifecycle_state AS lifecycle_state,
  l.stage5 AS stage5,
  l.relationship5 AS relationship5,
  l.icbc6 AS icbc6,
  l.stage4 AS stage4,
  l.quadrant AS quadrant,
  l.value_tier AS value_tier,
  l.deposit_tier AS deposit_tier,
  l.rfm_group AS rfm_group,
  l.current_value IS NOT NULL AS current_value_is_known,
  l.clv_12m IS NOT NULL AS clv_12m_is_known,
  COUNT(*) AS customers,
  SUM(COALESCE(l.current_value, CAST(0 AS DECIMAL(18, 2)))) AS current_value,
  SUM(COALESCE(l.clv_12m, CAST(0 AS DECIMAL(18, 2)))) AS clv_12m
FROM labelled AS l
GROUP BY
  l.dimension, l.member, l.lifecycle_state, l.stage5, l.relationship5, l.icbc6, l.stage4, l.quadrant, l.value_tier,
  l.deposit_tier, l.rfm_group, l.current_value IS NOT NULL, l.clv_12m IS NOT NULL
