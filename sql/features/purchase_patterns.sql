-- what: how many customers share each (x, t_x, T); the fit needs nothing else
-- grain: pattern
-- reads: customer_features
SELECT
  f.frequency AS frequency,
  f.t_x_days AS t_x_days,
  f.t_days AS t_days,
  COUNT(*) AS customers
FROM customer_features AS f
WHERE f.frequency IS NOT NULL
GROUP BY f.frequency, f.t_x_days, f.t_days
ORDER BY frequency, t_x_days, t_days
