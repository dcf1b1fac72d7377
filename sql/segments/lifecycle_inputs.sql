-- what: what the lifecycle rules may read; what no extract tells is unknown, and a condition on it is false
-- grain: customer
-- reads: customer_features, customer_scores, customer_positions, current_values
SELECT
  f.customer_id AS customer_id,
  f.frequency IS NOT NULL AS has_purchase,
  f.relationship_days IS NOT NULL AS has_relationship,
  f.purchase_days_total AS purchase_days_total,
  f.frequency AS frequency,
  f.relationship_days AS relationship_days,
  f.recency_days AS silence_days,
  f.gaps AS gaps,
  f.own_gap_days AS own_gap_days,
  f.longest_gap_days AS longest_gap_days,
  f.churn_gap_days AS churn_gap_days,
  f.reactivated AS reactivated,
  -- Rates are compared by cross-multiplication, exactly.
  CAST(f.trend_purchases * f.trend_baseline_days AS DECIMAL(18, 4))
    <= CAST($decline_rate_ratio AS DECIMAL(9, 4)) * (f.trend_baseline_purchases * f.trend_window_days) AS trend_is_low,
  s.decline_p_value AS decline_p_value,
  CAST(f.growth_purchases * f.growth_baseline_days AS DECIMAL(18, 4))
    >= CAST($growth_rate_ratio AS DECIMAL(9, 4)) * (f.growth_baseline_purchases * $long_recent_days) AS growth_is_high,
  s.growth_p_value AS growth_p_value,
  f.active_months AS active_months,
  s.dispersion_p_value AS dispersion_p_value,
  -- (n Σc² − (Σc)²) n ≤ cv² (Σc)² (n − 1) with n = 12 is: coefficient of variation at most cv.
  CAST((12 * f.month_purchases_squared - f.month_purchases * f.month_purchases) * 12 AS DECIMAL(18, 4))
    <= CAST($steady_variation AS DECIMAL(9, 4)) * CAST($steady_variation AS DECIMAL(9, 4)) * (f.month_purchases * f.month_purchases * 11)
    AS variation_is_small,
  f.contribution_12m AS contribution_12m,
  f.contribution_total AS contribution_total,
  -- Without costs, contribution above zero has to do.
  COALESCE(v.payback_reached, f.contribution_total > 0) AS paid_back,
  p.products_held AS products,
  p.product_opened AS product_opened,
  p.live AS live,
  p.closed_days_ago AS closed_days,
  p.debts_settled AS debts_settled,
  p.balances_falling AS balances_falling,
  p.contacted AS contacted
FROM customer_features AS f
JOIN customer_scores AS s ON s.customer_id = f.customer_id
JOIN customer_positions AS p ON p.customer_id = f.customer_id
JOIN current_values AS v ON v.customer_id = f.customer_id
