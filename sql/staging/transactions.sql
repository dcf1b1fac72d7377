-- what: every event once, as it was known by known_at
-- grain: event
-- reads: transactions_parts (the typed parts of all files, with the file each row came from)
WITH known AS (
  SELECT
    p.source_file, p.transaction_id, p.customer_id, p.posted_at, p.posted_on, p.amount, p.transaction_type, p.channel,
    p.fee_amount, p.reverses_id, p.extract_date, p.line
  FROM transactions_parts AS p
  WHERE $known_at IS NULL OR p.extract_date IS NULL OR p.extract_date <= CAST($known_at AS DATE)
),
delivered AS (
  SELECT
    k.source_file, k.transaction_id, k.customer_id, k.posted_at, k.posted_on, k.amount, k.transaction_type, k.channel,
    k.fee_amount, k.reverses_id, k.extract_date, k.line
  FROM known AS k
  WHERE $delivery = 'append' OR k.extract_date = (SELECT MAX(latest.extract_date) AS extract_date FROM known AS latest)
),
-- With an id: of several rows the latest delivery stands, then the highest content hash. The hash is of the
-- row and not of its file, so that splitting a file into two changes nothing. No bar stands in a text that is hashed.
with_id AS (
  SELECT
    d.transaction_id, d.customer_id, d.posted_at, d.posted_on, d.amount, d.transaction_type, d.channel, d.fee_amount,
    d.reverses_id, d.extract_date,
    ROW_NUMBER() OVER (
      PARTITION BY d.transaction_id
      ORDER BY
        COALESCE(d.extract_date, CAST('0001-01-01' AS DATE)) DESC,
        MD5(CONCAT(
          REPLACE(REPLACE(d.customer_id, '~', '~~'), '|', '~!'), '|',
          CAST(d.posted_at AS VARCHAR), '|', CAST(d.amount AS VARCHAR), '|',
          COALESCE(REPLACE(REPLACE(d.transaction_type, '~', '~~'), '|', '~!'), ''), '|',
          COALESCE(REPLACE(REPLACE(d.channel, '~', '~~'), '|', '~!'), ''), '|',
          COALESCE(CAST(d.fee_amount AS VARCHAR), ''), '|',
          COALESCE(REPLACE(REPLACE(d.reverses_id, '~', '~~'), '|', '~!'), '')
        )) DESC
    ) AS standing
  FROM delivered AS d
  WHERE d.transaction_id IS NOT NULL
),
-- Without an id: equal rows of one file are separate events; across files the largest count of any one stands.
numbered AS (
  SELECT
    d.customer_id, d.posted_at, d.posted_on, d.amount, d.transaction_type, d.channel, d.fee_amount, d.reverses_id,
    d.extract_date,
    ROW_NUMBER() OVER (
      PARTITION BY
        d.source_file, d.customer_id, d.posted_at, d.amount, d.transaction_type, d.channel, d.fee_amount, d.reverses_id
      ORDER BY d.line
    ) AS occurrence
  FROM delivered AS d
  WHERE d.transaction_id IS NULL
),
without_id AS (
  SELECT
    n.customer_id, n.posted_at, n.posted_on, n.amount, n.transaction_type, n.channel, n.fee_amount, n.reverses_id,
    MIN(n.extract_date) AS extract_date
  FROM numbered AS n
  GROUP BY
    n.customer_id, n.posted_at, n.posted_on, n.amount, n.transaction_type, n.channel, n.fee_amount, n.reverses_id,
    n.occurrence
)
SELECT
  i.transaction_id AS transaction_id, i.customer_id AS customer_id, i.posted_at AS posted_at, i.posted_on AS posted_on,
  i.amount AS amount, i.transaction_type AS transaction_type, i.channel AS channel, i.fee_amount AS fee_amount,
  i.reverses_id AS reverses_id, i.extract_date AS extract_date
FROM with_id AS i
WHERE i.standing = 1
UNION ALL
SELECT
  CAST(NULL AS VARCHAR) AS transaction_id, w.customer_id AS customer_id, w.posted_at AS posted_at,
  w.posted_on AS posted_on, w.amount AS amount, w.transaction_type AS transaction_type, w.channel AS channel,
  w.fee_amount AS fee_amount, w.reverses_id AS reverses_id, w.extract_date AS extract_date
FROM without_id AS w
