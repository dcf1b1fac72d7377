"""The tables inside warehouse.duckdb: typed facts, then one row a customer."""

from dataclasses import replace

from clvpipe.contracts.extracts import EXTRACTS, Extract
from clvpipe.contracts.lifecycle import LIFECYCLE_INPUTS
from clvpipe.contracts.model import EXACT_MONEY, MONEY, Column, Table
from clvpipe.contracts.positions import POSITIONS
from clvpipe.contracts.published import CUSTOMER_SEGMENTS

_LINE = Column("line", "BIGINT", "Physical line where the record starts (Parquet: row number).")
_SOURCE_FILE = Column("source_file", "VARCHAR", "Name of the part that the row is in.")
# Extracts whose rows are held against others.
PLACED = ("balances",)


def part_columns(extract: Extract) -> tuple[str, ...]:
    """What a part of the ledger holds of each record."""
    return _LINE.name, *(column.name for column in extract.kept_columns)


def typed_table(extract: Extract) -> Table:
    """The records of one file with their types, or with what is wrong with them."""
    return Table(
        "typed_records",
        "record of one file",
        ("line",),
        (
            _LINE,
            *extract.kept_columns,
            Column("reject_column", "VARCHAR", "Column that is wrong.", optional=True),
            Column("reject_reason", "VARCHAR", "Why it is set aside; NULL: it is loaded.", optional=True),
            Column("reject_text", "VARCHAR", "The record as it came, if it is set aside.", optional=True),
        ),
    )


def staged_table(extract: Extract) -> Table:
    """The table of an extract: its rows as they are known, with their place if they may be set aside."""
    place = (_SOURCE_FILE, _LINE) if extract.name in PLACED else ()
    return Table(extract.table, extract.grain, extract.key, (*extract.kept_columns, *place))


STAGED = {name: staged_table(extract) for name, extract in EXTRACTS.items()}


EXTRACT_TABLES = Table(
    "extract_tables",
    "extract",
    ("table_name",),
    (
        Column("table_name", "VARCHAR", "Name of the extract."),
        Column("is_present", "BOOLEAN", "Whether anything of it had been delivered."),
    ),
)

CUSTOMERS = Table(
    "customers",
    "customer seen in any extract up to as_of",
    ("customer_id",),
    (
        Column("customer_id", "VARCHAR", "The customer."),
        Column("first_seen_on", "DATE", "Earliest date of any row of the customer.", optional=True),
        Column("events", "BIGINT", "Transactions.", unit="events"),
    ),
)

PURCHASE_DAYS = Table(
    "purchase_days",
    "customer x purchase day",
    ("customer_id", "purchase_day"),
    (
        Column("customer_id", "VARCHAR", "The customer."),
        Column("purchase_day", "DATE", "A day with at least one qualifying event not fully reversed."),
        Column("purchase_number", "INTEGER", "1 for the customer's first purchase day."),
        Column("days_ago", "INTEGER", "as_of minus the day.", unit="days"),
        Column("gap_days", "INTEGER", "Days since the purchase day before.", unit="days", optional=True),
        Column("events", "BIGINT", "Qualifying events of the day.", unit="events"),
        Column("contribution", EXACT_MONEY, "What the day earned.", unit="money"),
    ),
)

PURCHASE_GAPS = Table(
    "purchase_gaps",
    "customer with at least one gap",
    ("customer_id",),
    (
        Column("customer_id", "VARCHAR", "The customer."),
        Column("gaps", "INTEGER", "Gaps between purchase days."),
        Column("own_gap_days", "DECIMAL(10,1)", "Median gap.", unit="days"),
        Column("longest_gap_days", "INTEGER", "Longest gap.", unit="days"),
        Column("reactivated", "BOOLEAN", "A silence beyond its churn gap ended within the return window."),
    ),
)

CUSTOMER_FEATURES = Table(
    "customer_features",
    "customer",
    ("customer_id",),
    (
        Column("customer_id", "VARCHAR", "The customer."),
        Column("relationship_start", "DATE", "The earliest purchase or holding.", optional=True),
        Column(
            "relationship_days",
            "INTEGER",
            "Since the earliest purchase or holding.",
            unit="days",
            optional=True,
        ),
        Column("first_purchase_day", "DATE", "First purchase day.", optional=True),
        Column("last_purchase_day", "DATE", "Last purchase day.", optional=True),
        Column("purchase_days_total", "INTEGER", "Purchase days up to as_of."),
        Column("contribution_total", EXACT_MONEY, "Contribution up to as_of.", unit="money"),
        Column("contribution_12m", EXACT_MONEY, "Contribution of the last 365 days.", unit="money"),
        Column("frequency", "INTEGER", "x: repeat purchase days.", unit="purchases", optional=True),
        Column("t_x_days", "INTEGER", "t_x: age at the last purchase.", unit="days", optional=True),
        Column("t_days", "INTEGER", "T: age at as_of.", unit="days", optional=True),
        Column(
            "repeat_contribution", EXACT_MONEY, "Contribution of repeat days.", unit="money", optional=True
        ),
        Column(
            "recency_days", "INTEGER", "Silence: days since the last purchase.", unit="days", optional=True
        ),
        Column("rfm_purchase_days", "INTEGER", "Purchase days in the RFM window.", unit="days"),
        Column("rfm_contribution", EXACT_MONEY, "Contribution in the RFM window.", unit="money"),
        Column("gaps", "INTEGER", "Gaps between purchase days."),
        Column("own_gap_days", "DECIMAL(10,1)", "Median gap.", unit="days", optional=True),
        Column("longest_gap_days", "INTEGER", "Longest gap.", unit="days", optional=True),
        Column(
            "churn_gap_days", "DECIMAL(10,1)", "Silence beyond which the customer has churned.", unit="days"
        ),
        Column("reactivated", "BOOLEAN", "Returned from a silence beyond the churn gap."),
        Column(
            "trend_window_days", "INTEGER", "Recent window of the decline test.", unit="days", optional=True
        ),
        Column("trend_purchases", "INTEGER", "Purchase days in it.", optional=True),
        Column("trend_baseline_purchases", "INTEGER", "Purchase days in the baseline.", optional=True),
        Column("trend_baseline_days", "INTEGER", "Exposure of the baseline.", unit="days", optional=True),
        Column("growth_purchases", "INTEGER", "Purchase days in the long recent window.", optional=True),
        Column("growth_baseline_purchases", "INTEGER", "Purchase days in its baseline.", optional=True),
        Column("growth_baseline_days", "INTEGER", "Exposure of its baseline.", unit="days", optional=True),
        Column("active_months", "INTEGER", "Twelfths of the last 365 days with a purchase."),
        Column("month_purchases", "INTEGER", "Purchase days in these twelfths."),
        Column("month_purchases_squared", "BIGINT", "Sum of squares of their counts."),
    ),
)


def _as_published(*names: str) -> tuple[Column, ...]:
    """Columns that are published as they are here."""
    return tuple(CUSTOMER_SEGMENTS.column(name) for name in names)


def _as_published_beside_other_statuses(*names: str) -> tuple[Column, ...]:
    """The same, where the status is made later."""
    return tuple(replace(column, status="", optional=True) for column in _as_published(*names))


CUSTOMER_SCORES = Table(
    "customer_scores",
    "customer",
    ("customer_id",),
    (
        *_as_published(
            "customer_id",
            *("p_alive", "p_alive_status", "p_alive_reason"),
            *("p_active_12m", "p_active_status", "p_active_reason"),
            *("expected_purchases_12m", "expected_purchases_24m", "purchases_status", "purchases_reason"),
            *("expected_contribution", "contribution_status", "contribution_reason"),
            *("clv_12m", "clv_24m", "model_used", "clv_status", "clv_reason"),
        ),
        *_as_published_beside_other_statuses(
            "decline_p_value", "smallest_detectable_fall", "growth_p_value", "dispersion_p_value"
        ),
    ),
)

BALANCE_ANNUITIES = Table(
    "balance_annuities",
    "customer with a balance on an open account",
    ("customer_id",),
    (
        Column("customer_id", "VARCHAR", "The customer."),
        Column("balance_annuity_12m", MONEY, "Discounted margins of 12 months.", unit="money"),
    ),
)

FUTURE_VALUES = Table(
    "future_values",
    "customer",
    ("customer_id",),
    _as_published(
        "customer_id",
        *("balance_annuity_12m", "annuity_status", "annuity_reason"),
        *("future_value_12m", "future_value_basis", "future_value_status", "future_value_reason"),
    ),
)

CUSTOMER_POTENTIALS = Table(
    "customer_potentials",
    "customer with a relationship",
    ("customer_id",),
    (
        *_as_published("customer_id"),
        *_as_published_beside_other_statuses(
            *("products_rank", "mobile_rank", "assets_rank", "residual_clv_rank"),
            *("potential_index", "potential_basis"),
        ),
    ),
)

WAREHOUSE = {
    table.name: table
    for table in (
        *STAGED.values(),
        EXTRACT_TABLES,
        CUSTOMERS,
        PURCHASE_DAYS,
        PURCHASE_GAPS,
        CUSTOMER_FEATURES,
        CUSTOMER_SCORES,
        BALANCE_ANNUITIES,
        FUTURE_VALUES,
        CUSTOMER_POTENTIALS,
        *POSITIONS,
        LIFECYCLE_INPUTS,
    )
}
