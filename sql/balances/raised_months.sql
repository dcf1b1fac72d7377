-- what: the complete months whose raw deposit tier is above ORDINARY; all others add nothing to a tier's memory
-- grain: customer x complete calendar month
-- reads: deposit_months
SELECT m.customer_id AS customer_id, m.month_number AS month_number, m.raw_tier AS raw_tier
FROM deposit_months AS m
WHERE m.raw_tier > 0
ORDER BY customer_id, month_number
