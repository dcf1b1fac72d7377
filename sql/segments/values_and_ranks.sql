-- what: the labels that frozen cuts make of purchases, values and ranks
-- grain: customer
-- reads: customer_features, current_values, customer_scores, future_values, customer_potentials
WITH i AS (
  SELECT
    f.customer_id,
    f.relationship_days IS NOT NULL AS has_relationship,
    f.frequency IS NOT NULL AS has_purchase,
    f.recency_days,
    f.rfm_purchase_days,
    CAST(f.rfm_contribution AS DECIMAL(18, 2)) AS rfm_contribution,
    v.current_value,
    s.clv_12m,
    u.future_value_12m,
    p.potential_index
  FROM customer_features AS f
  JOIN current_values AS v ON v.customer_id = f.customer_id
  JOIN customer_scores AS s ON s.customer_id = f.customer_id
  JOIN future_values AS u ON u.customer_id = f.customer_id
  LEFT JOIN customer_potentials AS p ON p.customer_id = f.customer_id
)
SELECT
  i.customer_id AS customer_id,
  i.has_relationship AS has_relationship,
  i.has_purchase AS has_purchase,
  CASE WHEN i.has_purchase AND $recency_cut_1 IS NOT NULL THEN
    1 + CASE WHEN i.recency_days < $recency_cut_1 THEN 1 ELSE 0 END + CASE WHEN i.recency_days < $recency_cut_2 THEN 1 ELSE 0 END
      + CASE WHEN i.recency_days < $recency_cut_3 THEN 1 ELSE 0 END + CASE WHEN i.recency_days < $recency_cut_4 THEN 1 ELSE 0 END
  END AS r_score,
  CASE WHEN i.has_purchase AND $frequency_cut_1 IS NOT NULL THEN
    1 + CASE WHEN i.rfm_purchase_days > $frequency_cut_1 THEN 1 ELSE 0 END + CASE WHEN i.rfm_purchase_days > $frequency_cut_2 THEN 1 ELSE 0 END
      + CASE WHEN i.rfm_purchase_days > $frequency_cut_3 THEN 1 ELSE 0 END + CASE WHEN i.rfm_purchase_days > $frequency_cut_4 THEN 1 ELSE 0 END
  END AS f_score,
  CASE WHEN i.has_purchase AND $monetary_cut_1 IS NOT NULL THEN
    1 + CASE WHEN i.rfm_contribution > CAST($monetary_cut_1 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.rfm_contribution > CAST($monetary_cut_2 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.rfm_contribution > CAST($monetary_cut_3 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.rfm_contribution > CAST($monetary_cut_4 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
  END AS m_score,
  CASE WHEN i.clv_12m IS NOT NULL AND $clv_decile_cut_1 IS NOT NULL THEN
    1 + CASE WHEN i.clv_12m > CAST($clv_decile_cut_1 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_2 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_3 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_4 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_5 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_6 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_7 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_8 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
      + CASE WHEN i.clv_12m > CAST($clv_decile_cut_9 AS DECIMAL(18, 2)) THEN 1 ELSE 0 END
  END AS clv_decile,
  -- High also requires a value above zero.
  i.current_value >= CAST($current_theta AS DECIMAL(28, 8)) AND i.current_value > 0 AS current_is_high,
  i.potential_index >= CAST($potential_theta AS DOUBLE) AND i.potential_index > 0 AS potential_is_high,
  CASE
    WHEN i.future_value_12m > CAST($value_tier_cut_2 AS DECIMAL(18, 2)) THEN 'HIGH'
    WHEN i.future_value_12m > CAST($value_tier_cut_1 AS DECIMAL(18, 2)) THEN 'MID'
    WHEN i.future_value_12m IS NOT NULL AND $value_tier_cut_1 IS NOT NULL THEN 'LOW'
  END AS value_tier
FROM i
