-- what: what the score kernels read, equal patterns together; scores are made row by row, so ties may come in any order
-- grain: customer
-- reads: customer_features
SELECT
  f.customer_id AS customer_id,
  f.frequency AS frequency,
  f.t_x_days AS t_x_days,
  f.t_days AS t_days,
  CAST(f.repeat_contribution AS DOUBLE) AS repeat_contribution,
  f.trend_window_days AS trend_window_days,
  f.trend_purchases AS trend_purchases,
  f.trend_baseline_purchases AS trend_baseline_purchases,
  f.trend_baseline_days AS trend_baseline_days,
  f.growth_purchases AS growth_purchases,
  f.growth_baseline_purchases AS growth_baseline_purchases,
  f.growth_baseline_days AS growth_baseline_days,
  f.month_purchases AS month_purchases,
  f.month_purchases_squared AS month_purchases_squared
FROM customer_features AS f
ORDER BY frequency, t_x_days, t_days
