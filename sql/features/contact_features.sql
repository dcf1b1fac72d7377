-- what: whom a campaign has reached, and who has come of their own accord, by as_of
-- grain: customer
-- reads: contacts, events, inbound_events
WITH touches AS (
  SELECT c.customer_id
  FROM contacts AS c
  WHERE c.sent_on <= CAST($as_of AS DATE) AND (c.reached OR c.engaged)
  UNION ALL
  SELECT e.customer_id
  FROM events AS e
  JOIN inbound_events AS i ON i.event_code = e.event_code
  WHERE e.occurred_on <= CAST($as_of AS DATE)
)
SELECT t.customer_id AS customer_id, COUNT(*) AS touches
FROM touches AS t
GROUP BY t.customer_id
