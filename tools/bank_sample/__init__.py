"""The bank sample: nine seeded extracts of an invented retail bank, and the truth behind them.

`world` is the bank's calendar, `population` who its customers are, `behaviour` when they buy, `ledger` what
that leaves in the books, `deliveries` and `defects` how the books reach the extracts; `tables` puts together
`profiles`, `relations`, `balances`, `touches` and `terms`; `truth` is what only the simulation knows.
"""
