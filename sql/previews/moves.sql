-- what: from which label to which customers of a scheme would go, and what they would be worth; a NULL label is of
--   customers who are on the other side alone
-- grain: from_label x to_label of one scheme
-- reads: segments_before, customer_segments
WITH labels AS (
  SELECT
    CASE WHEN b.customer_id IS NOT NULL THEN rule_case('label_before') END AS from_label,
    CASE WHEN a.customer_id IS NOT NULL THEN rule_case('label_after') END AS to_label,
    a.current_value AS current_value,
    a.future_value_12m AS future_value_12m
  FROM segments_before AS b
  FULL JOIN customer_segments AS a ON a.customer_id = b.customer_id
)
SELECT
  l.from_label AS from_label,
  l.to_label AS to_label,
  COUNT(*) AS customers,
  SUM(l.current_value) AS current_value,
  SUM(l.future_value_12m) AS future_value_12m
FROM labels AS l
GROUP BY l.from_label, l.to_label
ORDER BY customers DESC, from_label, to_label
