-- what: fees of the last 365 days on events that are no purchases
-- grain: customer with such an event
-- reads: classified_events
SELECT e.customer_id AS customer_id, SUM(e.contribution) AS fees
FROM classified_events AS e
WHERE NOT e.is_purchase AND e.days_ago < 365
GROUP BY e.customer_id
