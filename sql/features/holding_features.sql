-- what: what each customer holds on as_of, and since when
-- grain: customer with a holding
-- reads: holdings, product_groups
WITH seen AS (
  SELECT
    h.customer_id,
    h.product_type,
    h.is_mobile,
    h.days_overdue,
    h.opened_on,
    DATE_DIFF('day', h.opened_on, CAST($as_of AS DATE)) AS opened_days_ago,
    h.closed_on IS NULL OR h.closed_on > CAST($as_of AS DATE) AS is_open,
    DATE_DIFF('day', h.closed_on, CAST($as_of AS DATE)) AS closed_days_ago,
    -- What has no date of its own is known from a delivery of that day or before.
    COALESCE(h.extract_date <= CAST($as_of AS DATE), $known_at IS NULL) AS is_dated,
    COALESCE(g.is_asset, FALSE) AS is_asset,
    COALESCE(g.is_loan, FALSE) AS is_loan
  FROM holdings AS h
  LEFT JOIN product_groups AS g ON g.product_type = h.product_type
  WHERE h.opened_on <= CAST($as_of AS DATE)
),
firsts AS (
  SELECT s.customer_id, MAX(s.opened_days_ago) AS opened_days_ago FROM seen AS s GROUP BY s.customer_id
),
products AS (
  SELECT s.customer_id, s.product_type FROM seen AS s WHERE s.is_open GROUP BY s.customer_id, s.product_type
),
product_counts AS (
  SELECT p.customer_id, COUNT(*) AS products FROM products AS p GROUP BY p.customer_id
)
SELECT
  s.customer_id AS customer_id,
  MIN(s.opened_on) AS first_opened_on,
  f.opened_days_ago AS first_opened_days_ago,
  SUM(CASE WHEN s.is_open THEN 1 ELSE 0 END) AS open_holdings,
  COALESCE(c.products, 0) AS products_held,
  SUM(CASE WHEN s.is_open AND s.is_mobile THEN 1 ELSE 0 END) AS mobile_accounts,
  CASE
    WHEN SUM(CASE WHEN s.is_open AND NOT s.is_dated THEN 1 ELSE 0 END) > 0 THEN 'NOT_DATED'
    WHEN SUM(CASE WHEN s.is_open AND s.is_mobile IS NULL THEN 1 ELSE 0 END) > 0 THEN 'NOT_DELIVERED'
  END AS mobile_reason,
  SUM(CASE WHEN s.is_open AND s.is_asset THEN 1 ELSE 0 END) AS financial_asset_accounts,
  SUM(CASE WHEN s.is_open AND s.is_loan AND s.is_dated AND s.days_overdue = 0 THEN 1 ELSE 0 END) AS performing_loans,
  MIN(s.opened_days_ago) AS newest_opened_days_ago,
  CASE WHEN SUM(CASE WHEN s.is_open THEN 1 ELSE 0 END) = 0 THEN MIN(s.closed_days_ago) END AS closed_days_ago
FROM seen AS s
JOIN firsts AS f ON f.customer_id = s.customer_id
LEFT JOIN product_counts AS c ON c.customer_id = s.customer_id
GROUP BY s.customer_id, f.opened_days_ago, c.products
