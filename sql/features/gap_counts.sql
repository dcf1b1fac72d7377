-- what: how often each gap between purchase days occurs
-- grain: gap
-- reads: purchase_days
SELECT
  d.gap_days AS gap_days,
  COUNT(*) AS occurrences
FROM purchase_days AS d
WHERE d.gap_days IS NOT NULL
GROUP BY d.gap_days
ORDER BY gap_days
