-- what: what holdings, balances and contacts say of each customer on as_of; NULL or false where no extract tells
-- grain: customer
-- reads: customers, customer_features, holding_features, balance_features, contact_features
WITH known AS (
  SELECT
    c.customer_id,
    CASE WHEN $has_balances THEN COALESCE(b.deposits, CAST(0 AS DECIMAL(38, 8))) END AS all_deposits,
    CASE WHEN $has_balances THEN COALESCE(b.loans, CAST(0 AS DECIMAL(38, 8))) END AS all_loans,
    CASE WHEN $has_balances THEN COALESCE(b.investments, CAST(0 AS DECIMAL(38, 8))) END AS all_investments,
    CASE WHEN $has_holdings THEN COALESCE(h.open_holdings, 0) END AS open_holdings,
    CASE WHEN $has_holdings THEN COALESCE(h.products_held, 0) END AS products_held,
    CASE
      WHEN NOT $has_holdings THEN 'NO_HOLDINGS'
      WHEN NOT $tells_mobile THEN 'NOT_DELIVERED'
      WHEN NOT $has_mobile THEN 'NOT_DATED'
      ELSE h.mobile_reason
    END AS mobile_reason,
    COALESCE(h.mobile_accounts, 0) AS mobile_accounts,
    CASE WHEN $has_holdings THEN COALESCE(h.financial_asset_accounts, 0) END AS financial_asset_accounts,
    COALESCE(h.performing_loans, 0) AS performing_loans,
    -- The opening that began the relationship is no sign of growth.
    COALESCE(h.newest_opened_days_ago < LEAST(f.relationship_days, $long_recent_days), FALSE) AS product_opened,
    h.closed_days_ago,
    COALESCE(b.balances_falling, FALSE) AS balances_falling,
    t.customer_id IS NOT NULL AS contacted
  FROM customers AS c
  JOIN customer_features AS f ON f.customer_id = c.customer_id
  LEFT JOIN holding_features AS h ON h.customer_id = c.customer_id
  LEFT JOIN balance_features AS b ON b.customer_id = c.customer_id
  LEFT JOIN contact_features AS t ON t.customer_id = c.customer_id
)
SELECT
  k.customer_id AS customer_id,
  CASE WHEN $has_deposits THEN k.all_deposits END AS deposits,
  CASE WHEN $has_loans THEN k.all_loans END AS loans,
  CASE WHEN $has_investments THEN k.all_investments END AS investments,
  CASE WHEN $has_deposits OR $has_investments THEN k.all_deposits + k.all_investments END AS financial_assets,
  k.open_holdings AS open_holdings,
  k.products_held AS products_held,
  CASE WHEN k.mobile_reason IS NULL THEN k.mobile_accounts END AS mobile_accounts,
  k.mobile_reason AS mobile_reason,
  k.financial_asset_accounts AS financial_asset_accounts,
  k.product_opened AS product_opened,
  k.balances_falling AS balances_falling,
  k.contacted AS contacted,
  k.performing_loans > 0 OR COALESCE(k.all_deposits + k.all_investments >= CAST($live_balance AS DECIMAL(18, 2)), FALSE) AS live,
  k.closed_days_ago AS closed_days_ago,
  -- Amounts that no balance tells are zero where nothing is open.
  COALESCE(k.all_deposits = 0 AND k.all_loans = 0 AND k.all_investments = 0 AND k.open_holdings = 0, FALSE) AS debts_settled
FROM known AS k
