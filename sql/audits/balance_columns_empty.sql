-- what: amounts that no delivered balance tells; they are known of nobody
-- grain: offence
-- reads: balances
-- severity: WARNS
-- subject: balances
WITH told AS (
  SELECT COUNT(*) AS balances, COUNT(b.deposit_balance) AS deposits, COUNT(b.loan_balance) AS loans, COUNT(b.investment_value) AS investments
  FROM balances AS b
)
SELECT 'deposit_balance' AS column_name FROM told AS t WHERE t.balances > 0 AND t.deposits = 0
UNION ALL
SELECT 'loan_balance' AS column_name FROM told AS t WHERE t.balances > 0 AND t.loans = 0
UNION ALL
SELECT 'investment_value' AS column_name FROM told AS t WHERE t.balances > 0 AND t.investments = 0
