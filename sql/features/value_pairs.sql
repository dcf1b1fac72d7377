-- what: how many repeaters share each frequency and repeat contribution
-- grain: frequency x repeat contribution
-- reads: customer_features
SELECT
  f.frequency AS frequency,
  f.repeat_contribution AS repeat_contribution,
  COUNT(*) AS customers
FROM customer_features AS f
WHERE f.frequency > 0
GROUP BY f.frequency, f.repeat_contribution
ORDER BY frequency, repeat_contribution
