-- what: reversals whose original is in no extract, is another customer's, or is a reversal itself; they take nothing back
-- grain: offence
-- reads: transactions
-- severity: WARNS
SELECT
  r.transaction_id AS transaction_id
FROM transactions AS r
LEFT JOIN transactions AS o ON o.transaction_id = r.reverses_id AND o.customer_id = r.customer_id
WHERE r.reverses_id IS NOT NULL AND r.posted_on <= CAST($as_of AS DATE) AND (o.transaction_id IS NULL OR o.reverses_id IS NOT NULL)
