"""Tables of the warehouse about what customers hold: accounts, balances, costs, and what they are worth."""

from clvpipe.contracts.model import EXACT_MONEY, MONEY, Column, Table

# One line a column: these tables are read more than they are edited.
# fmt: off
_CUSTOMER = Column("customer_id", "VARCHAR", "The customer.")


def _days_ago(name: str, definition: str, *, optional: bool = False) -> Column:
    return Column(name, "INTEGER", f"{definition}, counted back from as_of.", unit="days", optional=optional)


def _exact(name: str, definition: str, *, optional: bool = False) -> Column:
    return Column(name, EXACT_MONEY, definition, unit="money", optional=optional)


def _cents(name: str, definition: str) -> Column:
    return Column(name, MONEY, definition, unit="money", optional=True)


def _count(name: str, definition: str, *, optional: bool = False) -> Column:
    return Column(name, "INTEGER", definition, optional=optional)


RATE_SPANS = Table(
    "rate_spans",
    "rate key x kind of balance x period",
    ("rate_key", "kind", "first_days_ago"),
    (
        Column("rate_key", "VARCHAR", "DEPOSIT, LOAN, or a product type."),
        Column("kind", "VARCHAR", "DEPOSIT or LOAN: what is earned on."),
        _days_ago("first_days_ago", "First day in force"),
        _days_ago("last_days_ago", "Last day in force"),
        _days_ago("rated_days_ago", "First day on which any rate of the key is in force"),
        Column("margin", "DECIMAL(10,8)", "What it earns, less the expected loss of a loan.", unit="share a year"),
    ),
)

BALANCE_PROBLEMS = Table(
    "balance_problems",
    "balance set aside",
    ("source_file", "line"),
    (
        Column("source_file", "VARCHAR", "Name of the part that the row is in."),
        Column("line", "BIGINT", "Physical line where the record starts (Parquet: row number)."),
        _CUSTOMER,
        Column("reason", "VARCHAR", "Why the row is set aside."),
    ),
)

BALANCE_SPANS = Table(
    "balance_spans",
    "series (customer, account, product) x observation",
    ("customer_id", "account_id", "product_type", "days_ago"),
    (
        _CUSTOMER,
        Column("account_id", "VARCHAR", "The account; NULL: all of the customer's.", optional=True),
        Column("product_type", "VARCHAR", "What is held.", optional=True),
        _days_ago("days_ago", "Day of the observation"),
        _days_ago("first_days_ago", "First day for which it stands"),
        _days_ago("last_days_ago", "Last day for which it stands"),
        Column("is_position", "BOOLEAN", "Whether it is the newest word on its account, which still stands on as_of."),
        Column("deposit_balance", "DECIMAL(22,8)", "Deposits.", unit="money"),
        Column("loan_balance", "DECIMAL(22,8)", "Loans.", unit="money"),
        Column("investment_value", "DECIMAL(22,8)", "Investments.", unit="money"),
        Column("net_flow", "DECIMAL(22,8)", "Money in less money out.", unit="money", optional=True),
        Column("deposit_key", "VARCHAR", "Rate key of its deposits."),
        Column("loan_key", "VARCHAR", "Rate key of its loans."),
        _days_ago("unrated_last_days_ago", "Last day of the span without a rate, if there is one", optional=True),
    ),
)

BALANCE_INCOME = Table(
    "balance_income",
    "customer with a balance in the last 365 days",
    ("customer_id",),
    (
        _CUSTOMER,
        _exact("asset_365", "What loans earned, times 365."),
        _exact("liability_365", "What deposits earned, times 365."),
        _exact("deposit_days", "Deposits, summed by day."),
        _exact("loan_days", "Loans, summed by day."),
        _exact("investment_days", "Investments, summed by day."),
        _exact("deposits", "Deposits on as_of."),
        _exact("loans", "Loans on as_of."),
        _exact("investments", "Investments on as_of."),
    ),
)

BALANCE_STEPS = Table(
    "balance_steps",
    "customer x day on which something begins, ends or is observed",
    ("customer_id", "days_ago"),
    (
        _CUSTOMER,
        _days_ago("days_ago", "First day of the step"),
        _days_ago("last_days_ago", "Last day of the step"),
        _exact("assets", "Deposits and investments."),
        Column("is_covered", "BOOLEAN", "Whether any balance stands."),
        Column("is_unrated", "BOOLEAN", "Whether a balance that is not zero has no rate."),
        Column("is_observed", "BOOLEAN", "Whether the first day is one of observation."),
        Column("flow_unknown", "BOOLEAN", "Whether a flow of that day is not told."),
        _exact("net_flow", "Money in less money out, as told that day."),
    ),
)

BALANCE_TRENDS = Table(
    "balance_trends",
    "customer with a balance in the windows of the trend",
    ("customer_id",),
    (
        _CUSTOMER,
        _count("covered_days", "Days of the last 365 with a known balance."),
        _count("unrated_days", "Days of the last 365 on which a balance had no rate."),
        _count("recent_days", "Covered days of the recent window."),
        _count("prior_days", "Covered days of the window before."),
        _exact("recent_sum", "Deposits and investments net of revaluation, summed by day of the recent window."),
        _exact("prior_sum", "The same, of the window before."),
    ),
)

BALANCE_FEATURES = Table(
    "balance_features",
    "customer with a balance in the windows of the trend",
    ("customer_id",),
    (
        _CUSTOMER,
        *BALANCE_INCOME.columns[6:],
        *BALANCE_INCOME.columns[1:6],
        *BALANCE_TRENDS.columns[1:3],
        Column("balances_falling", "BOOLEAN", "Net of revaluation they have fallen, by share and by amount."),
    ),
)

DEPOSIT_MONTHS = Table(
    "deposit_months",
    "customer x complete calendar month with a balance",
    ("customer_id", "month_number"),
    (
        _CUSTOMER,
        _count("month_number", "Months since the first calendar month of the balances."),
        Column("is_last", "BOOLEAN", "Whether it is the last complete month."),
        Column("basis", "VARCHAR", "DAILY or MONTH_END."),
        Column("average_deposits", MONEY, "Average by day, or at the month's end.", unit="money"),
        _count("raw_tier", "What the month alone would earn: 0 ORDINARY to 3 DIAMOND."),
    ),
)

DEPOSIT_TIERS = Table(
    "deposit_tiers",
    "customer who was above ORDINARY in some month",
    ("customer_id",),
    (
        _CUSTOMER,
        _count("tier", "In force on as_of: 0 ORDINARY to 3 DIAMOND."),
        Column("watch", "BOOLEAN", "Whether on watch."),
        _count("months_below", "Months in a row below the tier."),
    ),
)

COST_SPANS = Table(
    "cost_spans",
    "cost kind x channel x period",
    ("cost_kind", "channel", "first_days_ago"),
    (
        Column("cost_kind", "VARCHAR", "NEW, MAINTAIN or CHANNEL."),
        Column("channel", "VARCHAR", "Of a CHANNEL cost; else empty."),
        _days_ago("first_days_ago", "First day in force"),
        _days_ago("last_days_ago", "Last day in force"),
        Column("unit_cost", "DECIMAL(22,8)", "The price.", unit="money"),
    ),
)

CLASSIFIED_EVENTS = Table(
    "classified_events",
    "event that stands by as_of",
    (),
    (
        _CUSTOMER,
        Column("posted_on", "DATE", "Day of the event."),
        _days_ago("days_ago", "Day of the event"),
        Column("is_purchase", "BOOLEAN", "Whether the customer started it."),
        _exact("contribution", "What it earned; of an event that is no purchase: its fee."),
    ),
)

OTHER_FEES = Table(
    "other_fees",
    "customer with fees on events that are no purchases",
    ("customer_id",),
    (_CUSTOMER, _exact("fees", "Fees of the last 365 days on such events.")),
)

HOLDING_FEATURES = Table(
    "holding_features",
    "customer with a holding by as_of",
    ("customer_id",),
    (
        _CUSTOMER,
        Column("first_opened_on", "DATE", "Opening of the first holding."),
        _days_ago("first_opened_days_ago", "Opening of the first holding"),
        _count("open_holdings", "Holdings that are open."),
        _count("products_held", "Different products among them."),
        _count("mobile_accounts", "Those of which a mobile use is told."),
        Column("mobile_reason", "VARCHAR", "Why that is not all; NULL where it is.", optional=True),
        _count("financial_asset_accounts", "Those that are financial assets."),
        _count("performing_loans", "Loans on which nothing is overdue."),
        _days_ago("newest_opened_days_ago", "Opening of the newest holding"),
        _days_ago("closed_days_ago", "Closing of the last one, if none is open", optional=True),
    ),
)

CONTACT_FEATURES = Table(
    "contact_features",
    "customer who was reached, or came",
    ("customer_id",),
    (_CUSTOMER, _count("touches", "Contacts that reached, and inbound events.")),
)

CUSTOMER_ATTRIBUTES = Table(
    "customer_attributes",
    "customer in the master data",
    ("customer_id",),
    (
        _CUSTOMER,
        Column("is_dated", "BOOLEAN", "Whether attributes without a date are known for as_of."),
        Column("missing_reason", "VARCHAR", "Why one that is not there is not."),
        Column("branch", "VARCHAR", "The branch that looks after the customer.", optional=True),
        Column("community", "VARCHAR", "Where the customer lives.", optional=True),
        Column("relationship_manager", "VARCHAR", "Who looks after the customer.", optional=True),
        Column("marketing_allowed", "BOOLEAN", "Consent, not taken back.", optional=True),
    ),
)

CUSTOMER_COSTS = Table(
    "customer_costs",
    "customer with a relationship",
    ("customer_id",),
    (
        _CUSTOMER,
        _exact("new_cost", "Onboarding, at the price of that day."),
        _exact("maintenance_365", "Maintenance since then, times 365."),
        _exact("maintenance_12m_365", "Maintenance in the last 365 days, times 365."),
    ),
)

CUSTOMER_POSITIONS = Table(
    "customer_positions",
    "customer",
    ("customer_id",),
    (
        _CUSTOMER,
        _exact("deposits", "Deposits on as_of.", optional=True),
        _exact("loans", "Loans on as_of.", optional=True),
        _exact("investments", "Investments on as_of.", optional=True),
        _exact("financial_assets", "Deposits and investments, as far as they are told.", optional=True),
        _count("open_holdings", "Holdings that are open.", optional=True),
        _count("products_held", "Different products among them.", optional=True),
        _count("mobile_accounts", "Those used by a mobile device.", optional=True),
        Column("mobile_reason", "VARCHAR", "Why that is not known; NULL where it is.", optional=True),
        _count("financial_asset_accounts", "Those that are financial assets.", optional=True),
        Column("product_opened", "BOOLEAN", "Opened of late, and not with the relationship."),
        Column("balances_falling", "BOOLEAN", "Deposits and investments have fallen."),
        Column("contacted", "BOOLEAN", "Reached by a contact, or came."),
        Column("live", "BOOLEAN", "Something stands, or a loan is paid on time."),
        _days_ago("closed_days_ago", "Closing of the last holding, if none is open", optional=True),
        Column("debts_settled", "BOOLEAN", "Nothing stands and nothing is open, and that is known."),
    ),
)

CURRENT_VALUES = Table(
    "current_values",
    "customer",
    ("customer_id",),
    (
        _CUSTOMER,
        _cents("asset_value_12m", "What loans earned in 12 months."),
        _cents("liability_value_12m", "What deposits earned in 12 months."),
        _count("rates_missing_days", "Days of the last 365 on which a balance had no rate.", optional=True),
        _cents("intermediary_value_12m", "Contribution of purchase days and fees on other events."),
        _cents("cost_12m", "Costs of 12 months."),
        _cents("current_value", "All of it together."),
        _cents("average_deposit_12m", "Mean over the covered days."),
        _cents("average_loan_12m", "Mean over the covered days."),
        _cents("average_investment_12m", "Mean over the covered days."),
        _count("balance_covered_days", "Days of the last 365 with a known balance.", optional=True),
        Column("payback_reached", "BOOLEAN", "Contribution has passed cost.", optional=True),
    ),
)

ANNUITY_INPUTS = Table(
    "annuity_inputs",
    "customer x product x age",
    ("customer_id", "product_type", "age_days"),
    (
        _CUSTOMER,
        Column("product_type", "VARCHAR", "Of the account; NULL: all accounts together.", optional=True),
        _count("age_days", "Since the account was opened."),
        _exact("margin_a_year", "What stands on it earns a year."),
    ),
)

POSITIONS = (
    RATE_SPANS, BALANCE_PROBLEMS, BALANCE_SPANS, BALANCE_INCOME, BALANCE_STEPS, BALANCE_TRENDS, BALANCE_FEATURES, DEPOSIT_MONTHS,
    DEPOSIT_TIERS, COST_SPANS, CLASSIFIED_EVENTS, OTHER_FEES, HOLDING_FEATURES, CONTACT_FEATURES, CUSTOMER_ATTRIBUTES,
    CUSTOMER_COSTS, CUSTOMER_POSITIONS, CURRENT_VALUES, ANNUITY_INPUTS,
)
