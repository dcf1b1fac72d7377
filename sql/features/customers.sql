-- what: everybody seen in any extract up to as_of; every later table of customers starts from here
-- grain: customer
-- reads: transactions, customer_records, holdings, balances, contacts, events, surveys
WITH seen AS (
  SELECT t.customer_id, t.posted_on AS seen_on, 1 AS events FROM transactions AS t
  UNION ALL
  SELECT r.customer_id, r.opened_on AS seen_on, 0 AS events FROM customer_records AS r
  UNION ALL
  SELECT h.customer_id, h.opened_on AS seen_on, 0 AS events FROM holdings AS h
  UNION ALL
  SELECT b.customer_id, b.date AS seen_on, 0 AS events FROM balances AS b
  UNION ALL
  SELECT c.customer_id, c.sent_on AS seen_on, 0 AS events FROM contacts AS c
  UNION ALL
  SELECT e.customer_id, e.occurred_on AS seen_on, 0 AS events FROM events AS e
  UNION ALL
  SELECT s.customer_id, s.answered_on AS seen_on, 0 AS events FROM surveys AS s
)
-- Who has no date at all, a registration without an account, is seen: nothing says that it lies ahead.
SELECT
  s.customer_id AS customer_id,
  MIN(s.seen_on) AS first_seen_on,
  SUM(s.events) AS events
FROM seen AS s
WHERE s.seen_on IS NULL OR s.seen_on <= CAST($as_of AS DATE)
GROUP BY s.customer_id
