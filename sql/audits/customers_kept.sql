-- what: customers in = customers out; a row is a customer lost or invented
-- grain: offence
-- reads: customers, customer_segments
-- severity: BLOCKS
SELECT
  COALESCE(c.customer_id, s.customer_id) AS customer_id
FROM customers AS c
FULL JOIN customer_segments AS s ON s.customer_id = c.customer_id
WHERE c.customer_id IS NULL OR s.customer_id IS NULL
