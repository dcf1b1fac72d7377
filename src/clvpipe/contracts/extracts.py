"""The nine extracts: their columns and what may stand in them. Typing, staged tables and `doctor` follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from clvpipe.contracts.model import INPUT_MONEY, RATE, Column

Kind = Literal["id", "text", "currency", "moment", "day", "money", "rate", "integer", "boolean", "delivery"]
TYPES: dict[Kind, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "currency": "VARCHAR",
    "moment": "TIMESTAMP",
    "day": "DATE",
    "money": INPUT_MONEY,
    "rate": RATE,
    "integer": "INTEGER",
    "boolean": "BOOLEAN",
    "delivery": "DATE",
}
CUSTOMER = "customer_id"
# Columns that name a customer: whose row it is, and other customers.
IDENTIFIERS = (CUSTOMER, "referred_by")
MENTIONS = IDENTIFIERS[1:]
# An id is at most so long, and holds no control character; between its ends a tab or a line end may stand.
LONGEST_ID = 255
UNFIT_IN_ID = r"[\x00-\x08\x0B\x0C\x0E-\x1F]|^[\t\n\r]|[\t\n\r]$"
LARGEST_AMOUNT = 10**12


@dataclass(frozen=True)
class Field:
    """One column of an extract. Its checks are made in the order in which they stand here.

    Attributes:
        name: The canonical name.
        kind: How its text is read.
        definition: One sentence.
        required: The file must have the column, and each record a value.
        required_with: Another column and the value beside which there must be one here.
        codes: The only values, where there is such a list.
        bounds: Inclusive range of an integer.
        not_before: The column whose time this one may not precede.
    """

    name: str
    kind: Kind
    definition: str
    required: bool = False
    required_with: tuple[str, str] | None = None
    codes: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None
    not_before: str | None = None

    @property
    def day_name(self) -> str | None:
        """Name of the column that holds the calendar day of a moment."""
        return f"{self.name.removesuffix('_at')}_on" if self.kind == "moment" else None

    def columns(self) -> Iterator[Column]:
        """What is kept of it. The currency is not: it is checked, and the same everywhere."""
        if self.kind != "currency":
            optional = not self.required
            unit = "money" if self.kind == "money" else ""
            yield Column(self.name, TYPES[self.kind], self.definition, unit=unit, optional=optional)
            if self.day_name:
                yield Column(self.day_name, "DATE", f"Calendar day of {self.name}.", optional=optional)


EXTRACT_DATE = Field("extract_date", "delivery", "When the row was delivered.")


@dataclass(frozen=True)
class Extract:
    """One kind of extract.

    Attributes:
        name: Name of its section under `[inputs]`, and of its folder in the ledger.
        table: Name of its table in the warehouse.
        grain: What one row of the table is.
        key: Columns by which a row is told from others; of several the latest delivered stands. Transactions
            have rules of their own (sql/staging/transactions.sql).
        fields: Its columns.
        feeds: The outputs that need it.
        without: What is not known without it.
    """

    name: str
    table: str
    grain: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    feeds: str
    without: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Canonical columns."""
        return tuple(field.name for field in self.fields)

    @property
    def required(self) -> tuple[str, ...]:
        """Those without which a file is refused."""
        return tuple(field.name for field in self.fields if field.required)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Columns that name a customer; every one of them passes `identify()` at ingest."""
        return tuple(name for name in IDENTIFIERS if name in self.columns)

    @property
    def read_fields(self) -> tuple[Field, ...]:
        """The columns, and when the row was delivered."""
        return *self.fields, EXTRACT_DATE

    @property
    def kept_columns(self) -> tuple[Column, ...]:
        """The columns of its table."""
        return tuple(column for field in self.read_fields for column in field.columns())


_CUSTOMER = Field(CUSTOMER, "id", "The customer.", required=True)

TRANSACTIONS = Extract(
    "transactions",
    "transactions",
    "event",
    (CUSTOMER, "posted_at", "transaction_id"),
    (
        _CUSTOMER,
        Field("transaction_id", "id", "The source's id of the row."),
        Field("posted_at", "moment", "Booking time in the bank's zone.", required=True),
        Field("amount", "money", "Money moved.", required=True),
        Field("fee_amount", "money", "Fee earned on the row."),
        Field("transaction_type", "text", "The source's type."),
        Field("channel", "text", "Where it was made."),
        Field("currency", "currency", "The configured one."),
        Field("reverses_id", "text", "The transaction that this row takes back."),
    ),
    "RFM, CLV, current value, potential value, quadrants, value tier, lifecycle",
    "there is no run",
)

CUSTOMERS = Extract(
    "customers",
    "customer_records",
    "customer, as the bank's master data have it",
    (CUSTOMER,),
    (
        _CUSTOMER,
        Field("opened_on", "day", "Start of the relationship by the bank's books."),
        Field("birth_year", "integer", "Year of birth.", bounds=(1850, 2199)),
        Field("branch", "text", "The branch that looks after the customer."),
        Field("community", "text", "Where the customer lives."),
        Field("relationship_manager", "text", "Who looks after the customer."),
        Field("referred_by", "id", "The customer who brought this one."),
        Field("marketing_consent", "boolean", "Whether the customer may be addressed."),
        Field("opted_out_on", "day", "When the consent was taken back."),
    ),
    "branch, community, relationship manager, summaries by them, marketing_allowed",
    "whom no other extract names is not seen; no summary by branch or community, no consent",
)

HOLDINGS = Extract(
    "holdings",
    "holdings",
    "customer x account",
    (CUSTOMER, "account_id"),
    (
        _CUSTOMER,
        Field("account_id", "id", "The account.", required=True),
        Field("product_type", "text", "What is held.", required=True),
        Field("opened_on", "day", "Since when.", required=True),
        Field("matures_on", "day", "End of its term.", not_before="opened_on"),
        Field("closed_on", "day", "Since when no more.", not_before="opened_on"),
        Field("is_mobile", "boolean", "Whether it is used by a mobile device."),
        Field("activated_on", "day", "When it was first used.", not_before="opened_on"),
        Field("days_overdue", "integer", "Days that a payment is late.", bounds=(0, 100_000)),
    ),
    "relationship start, potential value (products, mobile accounts), balance annuity, loans paid on time, "
    "TERMINATED, MATURE (two products), GROWING (another product)",
    "no rank of products or mobile accounts, no balance annuity; nobody is TERMINATED, and HOLDER by "
    "deposits and investments alone",
)

BALANCES = Extract(
    "balances",
    "balances",
    "customer x day x account x product",
    (CUSTOMER, "date", "account_id", "product_type"),
    (
        _CUSTOMER,
        Field("date", "day", "At the end of which day.", required=True),
        Field("deposit_balance", "money", "Deposits; an overdraft is negative."),
        Field("loan_balance", "money", "Loans."),
        Field("investment_value", "money", "Investments at their value of the day."),
        Field("net_flow", "money", "Money in less money out since the observation before."),
        Field("account_id", "id", "The account; none: all of the customer's."),
        Field("product_type", "text", "What is held."),
    ),
    "current value (asset and liability business), potential value (financial assets), balance annuity, "
    "deposit tiers, HOLDER, TERMINATED, DECLINING by balances",
    "current value leaves out what balances earn; no deposit tier, no rank of assets by amount, no balance "
    "annuity; nobody is TERMINATED, and HOLDER by loans paid on time alone",
)

RATES = Extract(
    "rates",
    "rates",
    "rate key x first day",
    ("rate_key", "valid_from"),
    (
        Field("rate_key", "text", "DEPOSIT, LOAN, or a product type.", required=True),
        Field("valid_from", "day", "First day in force.", required=True),
        Field("funding_rate", "rate", "What the money costs the bank, a year.", required=True),
        Field("customer_rate", "rate", "What the customer gets or pays, a year.", required=True),
        Field("expected_loss_rate", "rate", "Share that is not paid back, a year."),
    ),
    "current value (margins of balances), balance annuity",
    "current value leaves out what balances earn; no balance annuity",
)

COSTS = Extract(
    "costs",
    "costs",
    "cost kind x channel x first day",
    ("cost_kind", "channel", "valid_from"),
    (
        Field(
            "cost_kind", "text", "What costs: see codes.", required=True, codes=("NEW", "MAINTAIN", "CHANNEL")
        ),
        Field("channel", "text", "Of a CHANNEL cost.", required_with=("cost_kind", "CHANNEL")),
        Field("unit_cost", "money", "Once (NEW), a year (MAINTAIN), an event (CHANNEL).", required=True),
        Field("valid_from", "day", "First day in force.", required=True),
    ),
    "contribution (channels), current value (costs), payback",
    "contribution and current value are before costs; payback_status is NOT_AVAILABLE",
)

CONTACTS = Extract(
    "contacts",
    "contacts",
    "campaign x customer x time",
    ("campaign_id", CUSTOMER, "sent_at"),
    (
        Field("campaign_id", "id", "The campaign.", required=True),
        _CUSTOMER,
        Field("sent_at", "moment", "When the customer was addressed.", required=True),
        Field("channel", "text", "By which way."),
        Field("reached", "boolean", "Whether it arrived."),
        Field("engaged", "boolean", "Whether the customer took it up."),
        Field("converted_at", "moment", "When the customer did what was offered.", not_before="sent_at"),
        Field("is_control", "boolean", "Whether the customer was left out on purpose."),
    ),
    "CONTACTED (by campaigns)",
    "only who comes unasked is CONTACTED",
)

EVENTS = Extract(
    "events",
    "events",
    "customer x time x code",
    (CUSTOMER, "occurred_at", "event_code"),
    (
        _CUSTOMER,
        Field("occurred_at", "moment", "When it happened.", required=True),
        Field("event_code", "text", "What happened.", required=True),
    ),
    "CONTACTED (who comes unasked)",
    "only whom a campaign reached is CONTACTED",
)

SURVEYS = Extract(
    "surveys",
    "surveys",
    "customer x day",
    (CUSTOMER, "answered_on"),
    (
        _CUSTOMER,
        Field("answered_on", "day", "When the customer answered.", required=True),
        Field("nps_score", "integer", "Would recommend: 0 to 10.", bounds=(0, 10)),
        Field("satisfaction", "integer", "How content, 0 to 100.", bounds=(0, 100)),
    ),
    "nothing yet: the answers lie in the warehouse",
    "whom no other extract names is not seen",
)

EXTRACTS = {
    extract.name: extract
    for extract in (
        TRANSACTIONS, CUSTOMERS, HOLDINGS, BALANCES, RATES, COSTS, CONTACTS, EVENTS, SURVEYS,
    )
}  # fmt: skip
# Of each row of these the latest delivered stands, by the key.
KEYED = {name: extract for name, extract in EXTRACTS.items() if extract is not TRANSACTIONS}
