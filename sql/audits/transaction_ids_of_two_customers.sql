-- what: transaction ids that came with more than one customer; one row an id stands, so the others are not seen
-- grain: offence
-- reads: transactions_parts
-- severity: WARNS
SELECT
  p.transaction_id AS transaction_id
FROM transactions_parts AS p
WHERE p.transaction_id IS NOT NULL
GROUP BY p.transaction_id
HAVING MIN(p.customer_id) <> MAX(p.customer_id)
