-- what: each customer's lifecycle state by the rule table, and its label in four systems
-- grain: customer
-- reads: lifecycle_inputs, lifecycle_labels
WITH states AS (
  SELECT
    i.customer_id,
    rule_case('lifecycle') AS lifecycle_state,
    i.paid_back,
    i.frequency
  FROM lifecycle_inputs AS i
)
SELECT
  s.customer_id AS customer_id,
  s.lifecycle_state AS lifecycle_state,
  l.stage5 AS stage5,
  l.relationship5 AS relationship5,
  CASE
    WHEN l.icbc6_when_paid_back IS NOT NULL AND s.paid_back AND (NOT l.paid_back_needs_repeat OR s.frequency > 0)
      THEN l.icbc6_when_paid_back
    ELSE l.icbc6
  END AS icbc6,
  l.stage4 AS stage4
FROM states AS s
JOIN lifecycle_labels AS l ON l.code = s.lifecycle_state
