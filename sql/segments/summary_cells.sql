-- what: how many customers each label has and what they are worth, in the whole bank and by branch and community,
--   before anything is suppressed
-- grain: dimension x cell x member x scheme x label
-- reads: summary_profiles, summary_dimensions, summary_schemes
WITH labelled AS (
  SELECT
    p.dimension,
    p.cell,
    p.member,
    h.scheme,
    CASE h.scheme
      WHEN 'lifecycle_state' THEN p.lifecycle_state
      WHEN 'stage5' THEN p.stage5
      WHEN 'relationship5' THEN p.relationship5
      WHEN 'icbc6' THEN p.icbc6
      WHEN 'stage4' THEN p.stage4
      WHEN 'quadrant' THEN p.quadrant
      WHEN 'value_tier' THEN p.value_tier
      WHEN 'deposit_tier' THEN p.deposit_tier
      WHEN 'rfm_group' THEN p.rfm_group
    END AS label,
    p.customers,
    p.current_value,
    CASE WHEN p.current_value_is_known THEN p.customers ELSE 0 END AS current_value_known,
    p.clv_12m,
    CASE WHEN p.clv_12m_is_known THEN p.customers ELSE 0 END AS clv_12m_known
  FROM summary_profiles AS p
  JOIN summary_dimensions AS d ON d.dimension = p.dimension
  CROSS JOIN summary_schemes AS h
)
SELECT
  l.dimension AS dimension,
  l.cell AS cell,
  l.member AS member,
  l.scheme AS scheme,
  l.label AS label,
  SUM(l.customers) AS customers,
  SUM(l.current_value) AS current_value,
  SUM(l.current_value_known) AS current_value_known,
  SUM(l.clv_12m) AS clv_12m,
  SUM(l.clv_12m_known) AS clv_12m_known
FROM labelled AS l
GROUP BY l.dimension, l.cell, l.member, l.scheme, l.label
