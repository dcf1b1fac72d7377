-- what: customers with days in the last 365 on which a balance had no rate in force; these days earned nothing
-- grain: offence
-- reads: current_values
-- severity: WARNS
-- subject: rates
SELECT v.customer_id AS customer_id
FROM current_values AS v
WHERE v.rates_missing_days > 0
