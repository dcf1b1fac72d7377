-- what: what the bank's master data say of each customer on as_of
-- grain: customer in the master data
-- reads: customer_records
WITH known AS (
  SELECT
    r.customer_id, r.branch, r.community, r.relationship_manager, r.marketing_consent,
    COALESCE(r.opted_out_on <= CAST($as_of AS DATE), FALSE) AS has_opted_out,
    -- What has no date of its own is known from a delivery of that day or before.
    COALESCE(r.extract_date <= CAST($as_of AS DATE), $known_at IS NULL) AS is_dated
  FROM customer_records AS r
  WHERE r.opened_on IS NULL OR r.opened_on <= CAST($as_of AS DATE)
)
SELECT
  k.customer_id AS customer_id,
  k.is_dated AS is_dated,
  CASE WHEN k.is_dated THEN 'NOT_DELIVERED' ELSE 'NOT_DATED' END AS missing_reason,
  CASE WHEN k.is_dated THEN k.branch END AS branch,
  CASE WHEN k.is_dated THEN k.community END AS community,
  CASE WHEN k.is_dated THEN k.relationship_manager END AS relationship_manager,
  CASE WHEN k.has_opted_out THEN FALSE WHEN k.is_dated THEN k.marketing_consent END AS marketing_allowed
FROM known AS k
