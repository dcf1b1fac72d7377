-- what: days with at least one qualifying event that is not fully reversed by as_of, and what each earned
-- grain: customer x purchase day
-- reads: classified_events
WITH days AS (
  SELECT e.customer_id, e.posted_on AS purchase_day, e.days_ago, COUNT(*) AS events, SUM(e.contribution) AS contribution
  FROM classified_events AS e
  WHERE e.is_purchase
  GROUP BY e.customer_id, e.posted_on, e.days_ago
)
SELECT
  d.customer_id AS customer_id,
  d.purchase_day AS purchase_day,
  ROW_NUMBER() OVER (PARTITION BY d.customer_id ORDER BY d.purchase_day) AS purchase_number,
  d.days_ago AS days_ago,
  LAG(d.days_ago) OVER (PARTITION BY d.customer_id ORDER BY d.purchase_day) - d.days_ago AS gap_days,
  d.events AS events,
  d.contribution AS contribution
FROM days AS d
