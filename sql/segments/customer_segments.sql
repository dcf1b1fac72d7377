-- what: the one wide table: facts, scores and every label, with a status and a reason for each group of columns
-- grain: customer
-- reads: customer_features, customer_positions, current_values, customer_attributes, customer_scores, future_values,
--   customer_potentials, deposit_tiers, deposit_months, values_and_ranks, lifecycle, rfm_codes, tier_codes
WITH last_months AS (
  SELECT m.customer_id, m.average_deposits, m.basis, m.raw_tier
  FROM deposit_months AS m
  WHERE m.is_last
),
potential_statuses AS (
  SELECT
    v.customer_id,
    CASE
      WHEN NOT v.has_relationship THEN 'NOT_AVAILABLE'
      WHEN o.potential_index IS NOT NULL THEN CASE WHEN REGEXP_MATCHES(o.potential_basis, 'RESIDUAL_CLV$') THEN s.clv_status ELSE 'OK' END
      WHEN s.clv_12m IS NOT NULL THEN 'NOT_AVAILABLE'
      ELSE s.clv_status
    END AS potential_status,
    CASE
      WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
      WHEN o.potential_index IS NOT NULL THEN CASE WHEN REGEXP_MATCHES(o.potential_basis, 'RESIDUAL_CLV$') THEN s.clv_reason END
      WHEN s.clv_12m IS NOT NULL THEN 'NO_THRESHOLD'
      ELSE s.clv_reason
    END AS potential_reason
  FROM values_and_ranks AS v
  JOIN customer_scores AS s ON s.customer_id = v.customer_id
  LEFT JOIN customer_potentials AS o ON o.customer_id = v.customer_id
)
SELECT
  CAST($as_of AS DATE) AS as_of_date,
  f.customer_id AS customer_id,
  a.branch AS branch,
  CASE WHEN a.branch IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS branch_status,
  CASE WHEN a.branch IS NOT NULL THEN NULL ELSE COALESCE(a.missing_reason, 'NO_CUSTOMER_DATA') END AS branch_reason,
  a.community AS community,
  CASE WHEN a.community IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS community_status,
  CASE WHEN a.community IS NOT NULL THEN NULL ELSE COALESCE(a.missing_reason, 'NO_CUSTOMER_DATA') END AS community_reason,
  a.relationship_manager AS relationship_manager,
  CASE WHEN a.relationship_manager IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS relationship_manager_status,
  CASE WHEN a.relationship_manager IS NOT NULL THEN NULL ELSE COALESCE(a.missing_reason, 'NO_CUSTOMER_DATA') END AS relationship_manager_reason,
  a.marketing_allowed AS marketing_allowed,
  CASE WHEN a.marketing_allowed IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS marketing_status,
  CASE
    WHEN a.marketing_allowed IS NOT NULL THEN NULL WHEN a.customer_id IS NOT NULL AND NOT a.is_dated THEN 'NOT_DATED' ELSE 'NO_CONSENT_DATA'
  END AS marketing_reason,
  f.relationship_start AS relationship_start,
  f.relationship_days AS relationship_days,
  CASE WHEN v.has_relationship THEN 'OK' ELSE 'NOT_AVAILABLE' END AS relationship_status,
  CASE WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP' END AS relationship_reason,
  f.first_purchase_day AS first_purchase_day,
  f.last_purchase_day AS last_purchase_day,
  f.purchase_days_total AS purchase_days_total,
  f.frequency AS frequency,
  f.t_x_days AS t_x_days,
  f.t_days AS t_days,
  CASE WHEN v.has_purchase THEN f.contribution_total END AS historic_contribution,
  CASE WHEN v.has_purchase THEN 'OK' ELSE 'NOT_AVAILABLE' END AS history_status,
  CASE WHEN NOT v.has_purchase THEN 'NO_PURCHASE' END AS history_reason,
  CASE WHEN f.frequency > 0 THEN rounded_ratio(f.repeat_contribution, f.frequency) END AS mean_repeat_contribution,
  CASE WHEN f.frequency > 0 THEN 'OK' ELSE 'NOT_AVAILABLE' END AS repeat_status,
  CASE WHEN NOT v.has_purchase THEN 'NO_PURCHASE' WHEN f.frequency = 0 THEN 'ONE_PURCHASE' END AS repeat_reason,
  CASE WHEN g.rfm_code IS NOT NULL THEN f.recency_days END AS recency_days,
  CASE WHEN g.rfm_code IS NOT NULL THEN f.rfm_purchase_days END AS rfm_purchase_days,
  CASE WHEN g.rfm_code IS NOT NULL THEN f.rfm_contribution END AS rfm_contribution,
  v.r_score AS r_score,
  v.f_score AS f_score,
  v.m_score AS m_score,
  g.rfm_code AS rfm_code,
  g.rfm_group AS rfm_group,
  CASE WHEN g.rfm_code IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS rfm_status,
  CASE WHEN NOT v.has_purchase THEN 'NO_PURCHASE' WHEN g.rfm_code IS NULL THEN 'NO_THRESHOLD' END AS rfm_reason,
  s.p_alive AS p_alive,
  s.p_alive_status AS p_alive_status,
  s.p_alive_reason AS p_alive_reason,
  s.p_active_12m AS p_active_12m,
  s.p_active_status AS p_active_status,
  s.p_active_reason AS p_active_reason,
  s.expected_purchases_12m AS expected_purchases_12m,
  s.expected_purchases_24m AS expected_purchases_24m,
  s.purchases_status AS purchases_status,
  s.purchases_reason AS purchases_reason,
  s.expected_contribution AS expected_contribution,
  s.contribution_status AS contribution_status,
  s.contribution_reason AS contribution_reason,
  s.clv_12m AS clv_12m,
  s.clv_24m AS clv_24m,
  v.clv_decile AS clv_decile,
  s.model_used AS model_used,
  s.clv_status AS clv_status,
  s.clv_reason AS clv_reason,
  p.products_held AS products_held,
  p.financial_asset_accounts AS financial_asset_accounts,
  CASE WHEN $has_holdings THEN 'OK' ELSE 'NOT_AVAILABLE' END AS holdings_status,
  CASE WHEN NOT $has_holdings THEN 'NO_HOLDINGS' END AS holdings_reason,
  p.mobile_accounts AS mobile_accounts,
  CASE WHEN p.mobile_accounts IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS mobile_status,
  p.mobile_reason AS mobile_reason,
  p.deposits AS deposits,
  w.average_deposit_12m AS average_deposit_12m,
  CASE WHEN $has_deposits THEN 'OK' ELSE 'NOT_AVAILABLE' END AS deposits_status,
  CASE WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_deposits THEN 'NOT_DELIVERED' END AS deposits_reason,
  p.loans AS loans,
  w.average_loan_12m AS average_loan_12m,
  CASE WHEN $has_loans THEN 'OK' ELSE 'NOT_AVAILABLE' END AS loans_status,
  CASE WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_loans THEN 'NOT_DELIVERED' END AS loans_reason,
  p.investments AS investments,
  w.average_investment_12m AS average_investment_12m,
  CASE WHEN $has_investments THEN 'OK' ELSE 'NOT_AVAILABLE' END AS investments_status,
  CASE WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_investments THEN 'NOT_DELIVERED' END AS investments_reason,
  p.financial_assets AS financial_assets,
  CASE WHEN p.financial_assets IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS financial_assets_status,
  CASE WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN p.financial_assets IS NULL THEN 'NOT_DELIVERED' END AS financial_assets_reason,
  w.balance_covered_days AS balance_covered_days,
  CASE WHEN $has_balances THEN 'OK' ELSE 'NOT_AVAILABLE' END AS balances_status,
  CASE WHEN NOT $has_balances THEN 'NO_BALANCES' END AS balances_reason,
  w.asset_value_12m AS asset_value_12m,
  CASE WHEN w.asset_value_12m IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS asset_value_status,
  CASE
    WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_balance_income THEN 'NO_RATES' WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
    WHEN NOT $has_loans THEN 'NOT_DELIVERED'
  END AS asset_value_reason,
  w.liability_value_12m AS liability_value_12m,
  CASE WHEN w.liability_value_12m IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS liability_value_status,
  CASE
    WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_balance_income THEN 'NO_RATES' WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
    WHEN NOT $has_deposits THEN 'NOT_DELIVERED'
  END AS liability_value_reason,
  w.rates_missing_days AS rates_missing_days,
  CASE WHEN w.rates_missing_days IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS balance_income_status,
  CASE
    WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_balance_income THEN 'NO_RATES' WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
  END AS balance_income_reason,
  w.cost_12m AS cost_12m,
  CASE WHEN w.cost_12m IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS cost_status,
  CASE WHEN NOT $has_costs THEN 'NO_COSTS' WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP' END AS cost_reason,
  w.intermediary_value_12m AS intermediary_value_12m,
  w.current_value AS current_value,
  CASE
    WHEN NOT v.has_relationship THEN NULL
    WHEN $has_balance_income AND $has_costs THEN 'CONTRIBUTION_BALANCES_COSTS'
    WHEN $has_balance_income THEN 'CONTRIBUTION_BALANCES'
    WHEN $has_costs THEN 'CONTRIBUTION_COSTS'
    ELSE 'CONTRIBUTION'
  END AS current_value_basis,
  CASE WHEN v.has_relationship THEN 'OK' ELSE 'NOT_AVAILABLE' END AS current_value_status,
  CASE WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP' END AS current_value_reason,
  u.balance_annuity_12m AS balance_annuity_12m,
  u.annuity_status AS annuity_status,
  u.annuity_reason AS annuity_reason,
  u.future_value_12m AS future_value_12m,
  u.future_value_basis AS future_value_basis,
  u.future_value_status AS future_value_status,
  u.future_value_reason AS future_value_reason,
  o.products_rank AS products_rank,
  CASE WHEN o.products_rank IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS products_rank_status,
  CASE
    WHEN o.products_rank IS NOT NULL THEN NULL WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
    WHEN NOT $has_holdings THEN 'NO_HOLDINGS' ELSE 'NO_THRESHOLD'
  END AS products_rank_reason,
  o.mobile_rank AS mobile_rank,
  CASE WHEN o.mobile_rank IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS mobile_rank_status,
  CASE
    WHEN o.mobile_rank IS NOT NULL THEN NULL WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
    ELSE COALESCE(p.mobile_reason, 'NO_THRESHOLD')
  END AS mobile_rank_reason,
  o.assets_rank AS assets_rank,
  CASE WHEN o.assets_rank IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS assets_rank_status,
  CASE
    WHEN o.assets_rank IS NOT NULL THEN NULL WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP'
    WHEN $assets_by = 'amount' AND NOT $has_balances THEN 'NO_BALANCES' WHEN $assets_by = 'count' AND NOT $has_holdings THEN 'NO_HOLDINGS'
    WHEN $assets_by = 'amount' AND p.financial_assets IS NULL THEN 'NOT_DELIVERED'
    ELSE 'NO_THRESHOLD'
  END AS assets_rank_reason,
  o.residual_clv_rank AS residual_clv_rank,
  CASE WHEN o.residual_clv_rank IS NULL AND s.clv_12m IS NOT NULL THEN 'NOT_AVAILABLE' ELSE s.clv_status END AS residual_clv_rank_status,
  CASE WHEN o.residual_clv_rank IS NULL AND s.clv_12m IS NOT NULL THEN 'NO_THRESHOLD' ELSE s.clv_reason END AS residual_clv_rank_reason,
  o.potential_index AS potential_index,
  o.potential_basis AS potential_basis,
  q.potential_status AS potential_status,
  q.potential_reason AS potential_reason,
  CASE
    WHEN v.current_is_high AND v.potential_is_high THEN 'BEST'
    WHEN v.current_is_high AND NOT v.potential_is_high THEN 'GENERAL'
    WHEN NOT v.current_is_high AND v.potential_is_high THEN 'SECOND_BEST'
    WHEN NOT v.current_is_high AND NOT v.potential_is_high THEN 'LOW_VALUE'
  END AS quadrant,
  CASE
    WHEN o.potential_index IS NULL OR (v.current_is_high IS NOT NULL AND v.potential_is_high IS NOT NULL) THEN q.potential_status
    ELSE 'NOT_AVAILABLE'
  END AS quadrant_status,
  CASE
    WHEN o.potential_index IS NULL OR (v.current_is_high IS NOT NULL AND v.potential_is_high IS NOT NULL) THEN q.potential_reason
    ELSE 'NO_THRESHOLD'
  END AS quadrant_reason,
  v.value_tier AS value_tier,
  CASE WHEN v.value_tier IS NULL AND u.future_value_12m IS NOT NULL THEN 'NOT_AVAILABLE' ELSE u.future_value_status END AS value_tier_status,
  CASE WHEN v.value_tier IS NULL AND u.future_value_12m IS NOT NULL THEN 'NO_THRESHOLD' ELSE u.future_value_reason END AS value_tier_reason,
  CASE WHEN $has_months THEN tier.code END AS deposit_tier,
  CASE WHEN $has_months THEN raw.code END AS deposit_tier_raw,
  CASE WHEN $has_months THEN CASE WHEN t.watch THEN 'WATCH' ELSE 'NORMAL' END END AS deposit_watch,
  CASE WHEN $has_months THEN COALESCE(t.months_below, 0) END AS deposit_months_below,
  CASE WHEN $has_months THEN COALESCE(m.average_deposits, CAST(0 AS DECIMAL(18, 2))) END AS deposit_average,
  CASE WHEN $has_months THEN COALESCE(m.basis, 'MONTH_END') END AS deposit_basis,
  CASE WHEN $has_months THEN 'OK' ELSE 'NOT_AVAILABLE' END AS deposit_tier_status,
  CASE WHEN NOT $has_balances THEN 'NO_BALANCES' WHEN NOT $has_deposits THEN 'NOT_DELIVERED' WHEN NOT $has_months THEN 'NO_COMPLETE_MONTH' END AS deposit_tier_reason,
  COALESCE(f.relationship_days <= $new_days, FALSE) AS is_new,
  COALESCE(f.relationship_days > $new_days AND l.lifecycle_state <> 'TERMINATED', FALSE) AS is_existing,
  CASE WHEN o.potential_index IS NOT NULL THEN COALESCE(v.potential_is_high, FALSE) END AS is_potential,
  l.lifecycle_state AS lifecycle_state,
  l.stage5 AS stage5,
  l.relationship5 AS relationship5,
  l.icbc6 AS icbc6,
  l.stage4 AS stage4,
  'OK' AS lifecycle_status,
  CAST(NULL AS VARCHAR) AS lifecycle_reason,
  w.payback_reached AS payback_reached,
  CASE WHEN w.payback_reached IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS payback_status,
  CASE WHEN NOT $has_costs THEN 'NO_COSTS' WHEN NOT v.has_relationship THEN 'NO_RELATIONSHIP' END AS payback_reason,
  f.own_gap_days AS own_gap_days,
  f.longest_gap_days AS longest_gap_days,
  CASE WHEN f.own_gap_days IS NOT NULL THEN 'OK' ELSE 'NOT_AVAILABLE' END AS own_gap_status,
  CASE WHEN NOT v.has_purchase THEN 'NO_PURCHASE' WHEN f.own_gap_days IS NULL THEN 'ONE_PURCHASE' END AS own_gap_reason,
  f.churn_gap_days AS churn_gap_days,
  f.trend_window_days AS trend_window_days,
  f.trend_purchases AS trend_purchases,
  f.trend_baseline_purchases AS trend_baseline_purchases,
  f.trend_baseline_days AS trend_baseline_days,
  s.decline_p_value AS decline_p_value,
  CASE WHEN s.decline_p_value IS NOT NULL THEN 'OK' WHEN v.has_purchase THEN 'INSUFFICIENT_DATA' ELSE 'NOT_AVAILABLE' END AS trend_status,
  CASE WHEN s.decline_p_value IS NOT NULL THEN NULL WHEN v.has_purchase THEN 'NO_BASELINE' ELSE 'NO_PURCHASE' END AS trend_reason,
  s.smallest_detectable_fall AS smallest_detectable_fall,
  CASE
    WHEN s.smallest_detectable_fall IS NOT NULL THEN 'OK' WHEN v.has_purchase THEN 'INSUFFICIENT_DATA' ELSE 'NOT_AVAILABLE'
  END AS detectable_status,
  CASE
    WHEN s.smallest_detectable_fall IS NOT NULL THEN NULL WHEN s.decline_p_value IS NOT NULL THEN 'NOT_DETECTABLE'
    WHEN v.has_purchase THEN 'NO_BASELINE' ELSE 'NO_PURCHASE'
  END AS detectable_reason,
  s.growth_p_value AS growth_p_value,
  CASE WHEN s.growth_p_value IS NOT NULL THEN 'OK' WHEN v.has_purchase THEN 'INSUFFICIENT_DATA' ELSE 'NOT_AVAILABLE' END AS growth_status,
  CASE WHEN s.growth_p_value IS NOT NULL THEN NULL WHEN v.has_purchase THEN 'NO_BASELINE' ELSE 'NO_PURCHASE' END AS growth_reason,
  CASE WHEN f.t_days >= 365 THEN s.dispersion_p_value END AS dispersion_p_value,
  CASE
    WHEN f.t_days >= 365 AND s.dispersion_p_value IS NOT NULL THEN 'OK' WHEN v.has_purchase THEN 'INSUFFICIENT_DATA' ELSE 'NOT_AVAILABLE'
  END AS steadiness_status,
  CASE
    WHEN f.t_days >= 365 AND s.dispersion_p_value IS NOT NULL THEN NULL WHEN f.t_days >= 365 THEN 'NO_RECENT_PURCHASE'
    WHEN v.has_purchase THEN 'RELATIONSHIP_TOO_SHORT' ELSE 'NO_PURCHASE'
  END AS steadiness_reason,
  CAST($calibration_id AS VARCHAR) AS calibration_id
FROM customer_features AS f
JOIN customer_positions AS p ON p.customer_id = f.customer_id
JOIN current_values AS w ON w.customer_id = f.customer_id
JOIN customer_scores AS s ON s.customer_id = f.customer_id
JOIN future_values AS u ON u.customer_id = f.customer_id
LEFT JOIN customer_attributes AS a ON a.customer_id = f.customer_id
LEFT JOIN customer_potentials AS o ON o.customer_id = f.customer_id
LEFT JOIN deposit_tiers AS t ON t.customer_id = f.customer_id
LEFT JOIN last_months AS m ON m.customer_id = f.customer_id
JOIN tier_codes AS tier ON tier.level = COALESCE(t.tier, 0)
JOIN tier_codes AS raw ON raw.level = COALESCE(m.raw_tier, 0)
JOIN potential_statuses AS q ON q.customer_id = f.customer_id
JOIN values_and_ranks AS v ON v.customer_id = f.customer_id
JOIN lifecycle AS l ON l.customer_id = f.customer_id
LEFT JOIN rfm_codes AS g ON g.r_score = v.r_score AND g.f_score = v.f_score AND g.m_score = v.m_score
