-- what: events up to as_of that are no reversals and not fully reversed: whether each is a purchase, and what it earned
-- grain: event
-- reads: transactions, purchase_rules, cost_spans
WITH events AS (
  SELECT
    t.transaction_id, t.customer_id, t.posted_on, t.amount, t.fee_amount, t.transaction_type, t.reverses_id, t.channel,
    DATE_DIFF('day', t.posted_on, CAST($as_of AS DATE)) AS days_ago
  FROM transactions AS t
  WHERE t.posted_on <= CAST($as_of AS DATE)
),
reversals AS (
  SELECT
    e.reverses_id AS transaction_id,
    e.customer_id,
    SUM(ABS(e.amount)) AS reversed_amount,
    SUM(COALESCE(e.fee_amount, CAST(0 AS DECIMAL(22, 8)))) AS reversed_fee
  FROM events AS e
  WHERE e.reverses_id IS NOT NULL
  GROUP BY e.reverses_id, e.customer_id
),
standing AS (
  SELECT
    e.customer_id,
    e.posted_on,
    e.days_ago,
    e.channel,
    COALESCE(p.purchase, $default_purchase) AS is_purchase,
    (e.amount - SIGN(e.amount) * COALESCE(r.reversed_amount, CAST(0 AS DECIMAL(22, 8)))) AS remaining_amount,
    COALESCE(p.margin_rate, CAST($default_margin_rate AS DECIMAL(8, 6))) AS margin_rate,
    COALESCE(e.fee_amount, CAST(0 AS DECIMAL(22, 8))) AS fee,
    COALESCE(r.reversed_fee, CAST(0 AS DECIMAL(22, 8))) AS reversed_fee
  FROM events AS e
  LEFT JOIN reversals AS r ON r.transaction_id = e.transaction_id AND r.customer_id = e.customer_id
  LEFT JOIN purchase_rules AS p ON p.transaction_type = e.transaction_type
  WHERE e.reverses_id IS NULL AND (r.reversed_amount IS NULL OR r.reversed_amount < ABS(e.amount))
)
-- The channel of a purchase costs what it cost on that day; a partial reversal leaves that cost.
SELECT
  s.customer_id AS customer_id,
  s.posted_on AS posted_on,
  s.days_ago AS days_ago,
  s.is_purchase AS is_purchase,
  CASE
    WHEN s.is_purchase THEN
      CAST(CAST(s.remaining_amount AS DECIMAL(26, 8)) * s.margin_rate AS DECIMAL(38, 8)) + s.fee + s.reversed_fee
        - COALESCE(c.unit_cost, CAST(0 AS DECIMAL(22, 8)))
    ELSE s.fee + s.reversed_fee
  END AS contribution
FROM standing AS s
LEFT JOIN cost_spans AS c
  ON c.cost_kind = 'CHANNEL' AND c.channel = s.channel AND s.days_ago BETWEEN c.last_days_ago AND c.first_days_ago
