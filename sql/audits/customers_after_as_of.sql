-- what: customers whose first event lies after as_of; they do not exist yet
-- grain: customer
-- reads: transactions
-- severity: INFORMS
SELECT
  t.customer_id AS customer_id
FROM transactions AS t
GROUP BY t.customer_id
HAVING MIN(t.posted_on) > CAST($as_of AS DATE)
