"""Customers of a bank worked by hand: their rows in every table, and what must be published of them.

The day is 2025-06-30. The window of 365 days is 2024-07-01 to 2025-06-30, which twelve month-ends (2024-07-31
to 2025-06-30) cover without a gap: 184 days of 2024 and 181 of 2025.

Rates a year:  DEPOSIT 0.02 - 0.005 = 0.015;  LOAN 0.06 - 0.02 - 0.01 = 0.03;
    TERM 0.03 - 0.02 = 0.01 before 2025, 0.03 - 0.025 = 0.005 from 2025-01-01;
    BOND 0.03 - 0.01 = 0.02 from 2025-01-01, and before that the general rate;
    from 2025-07-01 a DEPOSIT rate that does not exist yet.
Costs: NEW 200.00; MAINTAIN 36.50 a year = 0.10 a day; CHANNEL BRANCH 1.50, from 2025-06-01 2.00; APP 0.10.
Margin rates: CARD 0.01; FEE is no purchase; everything else 1.
Deposit tiers by preset (a).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .bank_truth import (
    Balance,
    Bank,
    BankTerms,
    Contact,
    Cost,
    Customer,
    Event,
    Holding,
    Rate,
    Survey,
    Table,
    Transaction,
)
from .brute_force import Terms

DAY = date(2025, 6, 30)
TERMS = BankTerms(purchases=Terms(rates={"CARD": "0.01", "FEE": None}))
MONTH_ENDS = (
    date(2024, 7, 31), date(2024, 8, 31), date(2024, 9, 30), date(2024, 10, 31), date(2024, 11, 30),
    date(2024, 12, 31), date(2025, 1, 31), date(2025, 2, 28), date(2025, 3, 31), date(2025, 4, 30),
    date(2025, 5, 31), date(2025, 6, 30),
)  # fmt: skip
BEFORE = (date(2024, 3, 31), date(2024, 4, 30), date(2024, 5, 31), date(2024, 6, 30))

RATES = (
    Rate("DEPOSIT", date(2020, 1, 1), Decimal("0.02"), Decimal("0.005")),
    Rate("DEPOSIT", date(2025, 7, 1), Decimal("0.9"), Decimal("0.1")),
    Rate("LOAN", date(2020, 1, 1), Decimal("0.02"), Decimal("0.06"), Decimal("0.01")),
    Rate("TERM", date(2020, 1, 1), Decimal("0.03"), Decimal("0.02")),
    Rate("TERM", date(2025, 1, 1), Decimal("0.03"), Decimal("0.025")),
    Rate("BOND", date(2025, 1, 1), Decimal("0.03"), Decimal("0.01")),
)
COSTS = (
    Cost("NEW", Decimal("200.00"), date(2020, 1, 1)),
    Cost("MAINTAIN", Decimal("36.50"), date(2020, 1, 1)),
    Cost("CHANNEL", Decimal("1.50"), date(2020, 1, 1), "BRANCH"),
    Cost("CHANNEL", Decimal("2.00"), date(2025, 6, 1), "BRANCH"),
    Cost("CHANNEL", Decimal("0.10"), date(2020, 1, 1), "APP"),
)


def ago(days: int) -> date:
    """The day that many days before."""
    return DAY - timedelta(days)


def at(days: int) -> datetime:
    """Midnight of that day."""
    return datetime.combine(ago(days), datetime.min.time())


@dataclass(frozen=True)
class Story:
    """One customer: rows, what is published with all nine tables, and with the transactions alone."""

    rows: tuple[Any, ...]
    expected: Mapping[str, Any]
    alone: Mapping[str, Any] = field(default_factory=dict)


def buys(
    who: str,
    days_ago: Any,
    amount: str,
    channel: str = "",
    kind: str = "",
    fee: str = "",
) -> tuple[Transaction, ...]:
    """One event on each of these days."""
    return tuple(
        Transaction(who, str(ago(d)), amount, kind, fee, transaction_id=f"{who}-{kind}{d}", channel=channel)
        for d in days_ago
    )


def undo(who: str, original: int, days_ago: int, amount: str, fee: str = "", kind: str = "") -> Transaction:
    """A reversal of what was bought `original` days ago."""
    return Transaction(
        who, str(ago(days_ago)), amount, kind, fee, f"{who}-{kind}{original}", f"{who}-undo-{kind}{original}"
    )


def _amounts(column: str, value: str) -> dict[str, Any]:
    return {column: Decimal(value)}


def months(
    who: str,
    values: Any,
    *,
    column: str = "deposit_balance",
    account: str | None = None,
    product: str | None = None,
    flows: Any = None,
    ends: tuple[date, ...] = MONTH_ENDS,
) -> tuple[Balance, ...]:
    """A balance on each of the month-ends: one for all, or one each."""
    each = [values] * len(ends) if isinstance(values, str) else list(values)
    moved = flows or [None] * len(ends)
    assert len(each) == len(moved) == len(ends)
    return tuple(
        Balance(
            who,
            end,
            **_amounts(column, value),
            net_flow=None if flow is None else Decimal(flow),
            account_id=account,
            product_type=product,
        )
        for end, value, flow in zip(ends, each, moved, strict=True)
    )


def money(text: str) -> Decimal:
    """An amount of two decimals."""
    assert text[-3] == "."
    return Decimal(text)


def labels(state: str, stage5: str, relationship5: str, icbc6: str, stage4: str) -> dict[str, Any]:
    """A state and its four labels."""
    return {
        "lifecycle_state": state, "stage5": stage5, "relationship5": relationship5, "icbc6": icbc6,
        "stage4": stage4,
    }  # fmt: skip


STORIES: dict[str, Story] = {}

# A one-time buyer of 120 days ago, at the branch (1.50). 80.00 - 1.50 = 78.50. Costs: NEW 200.00, as the
# relationship began in the window; MAINTAIN for the days after day 90 of it: the last 30 days, 30 x 0.10 =
# 3.00. Value 78.50 - 203.00 = -124.50. Silence 120 <= 180, one purchase day, not new. Payback: 78.50 <
# 203.00. Alone there is no cost of the channel either.
STORIES["one_time_120"] = Story(
    buys("one_time_120", [120], "80.00", "BRANCH"),
    {
        **labels("ONE_TIME", "NEW", "ESTABLISH", "DEVELOPMENT", "ACQUIRE"),
        "relationship_days": 120, "recency_days": 120, "is_new": False, "is_existing": True,
        "rfm_contribution": money("78.50"), "intermediary_value_12m": money("78.50"),
        "asset_value_12m": money("0.00"), "liability_value_12m": money("0.00"), "cost_12m": money("203.00"),
        "current_value": money("-124.50"), "current_value_basis": "CONTRIBUTION_BALANCES_COSTS",
        "balance_covered_days": 0, "average_deposit_12m": money("0.00"), "payback_reached": False,
        "products_held": 0, "mobile_accounts": 0, "financial_assets": money("0.00"),
        "marketing_allowed": None, "deposit_tier": "ORDINARY",
    },
    {
        **labels("ONE_TIME", "NEW", "ESTABLISH", "DEVELOPMENT", "ACQUIRE"),
        "current_value": money("80.00"), "current_value_basis": "CONTRIBUTION", "payback_reached": None,
        "asset_value_12m": None, "cost_12m": None, "average_deposit_12m": None, "products_held": None,
        "deposit_tier": None,
    },
)  # fmt: skip

# One of 400 days ago. With balances and holdings there (and nothing in them for this customer) the debts are
# settled, and silence 400 >= 365: terminated, costs nothing, earns nothing. Alone nobody can say that nothing
# is open: churned.
STORIES["one_time_400"] = Story(
    buys("one_time_400", [400], "80.00"),
    {
        **labels("TERMINATED", "CHURNED", "DECLINE", "TERMINATION", "LOSE"),
        "recency_days": 400, "debts_settled": True, "cost_12m": money("0.00"),
        "intermediary_value_12m": money("0.00"), "current_value": money("0.00"), "is_existing": False,
        "historic_contribution": money("80.00"),
    },
    {
        **labels("CHURNED", "CHURNED", "DECLINE", "DECLINE", "LOSE"),
        "current_value": money("0.00"), "is_existing": True, "debts_settled": False,
    },
)  # fmt: skip

# A monthly saver who stopped: purchases 550, 520, ... 130, 100 days ago (16 of 50.00). Own gap 30, churn gap
# max(180, 120) = 180; silence 100 > max(60, 3 x 30, 1.25 x 30) with 15 gaps: declining. (3 purchases in 180
# days against 12 in the 365 before are too few to tell: p = 0.2.) In the window 340, 310, ... 100:
# 9 x 50.00 = 450.00. Deposits 6,000 x 0.015 = 90.00. MAINTAIN for all 365 days, as day 90 was 460 days ago:
# 36.50. Value 450.00 + 90.00 - 36.50 = 503.50. Payback: 16 x 50.00 = 800.00 > 200.00 + 460 x 0.10 = 246.00.
STORIES["saver_stopped"] = Story(
    (
        *buys("saver_stopped", range(100, 551, 30), "50.00"),
        Holding("saver_stopped", "A-saver", "SAVINGS", ago(550), is_mobile=True),
        *months("saver_stopped", "6000", account="A-saver", product="SAVINGS"),
    ),
    {
        **labels("DECLINING", "CHURNED", "DECLINE", "DECLINE", "LOSE"),
        "recency_days": 100, "intermediary_value_12m": money("450.00"),
        "liability_value_12m": money("90.00"), "asset_value_12m": money("0.00"), "cost_12m": money("36.50"),
        "current_value": money("503.50"), "average_deposit_12m": money("6000.00"),
        "balance_covered_days": 365, "payback_reached": True, "live": True, "balances_falling": False,
        "products_held": 1, "mobile_accounts": 1, "financial_asset_accounts": 1,
        "financial_assets": money("6000.00"), "deposit_tier": "ORDINARY", "deposit_adb": money("6000.00"),
        "deposit_basis": "MONTH_END", "deposit_tier_status_code": "NORMAL", "deposit_months_below": 0,
    },
    {
        **labels("DECLINING", "CHURNED", "DECLINE", "DECLINE", "LOSE"),
        "current_value": money("450.00"),
    },
)  # fmt: skip

# Ten purchases in the first thirty days, by app: 29, 26, ... 2 days ago, 30.00 - 0.10 = 29.90 each, 299.00.
# NEW 200.00, no MAINTAIN yet. Value 99.00. A repeat, and 299.00 > 200.00: the growth period.
STORIES["ten_in_thirty"] = Story(
    buys("ten_in_thirty", range(2, 30, 3), "30.00", "APP"),
    {
        **labels("NEW", "NEW", "ESTABLISH", "GROWTH", "ACQUIRE"),
        "purchase_days_total": 10, "is_new": True, "is_existing": False,
        "intermediary_value_12m": money("299.00"), "cost_12m": money("200.00"),
        "current_value": money("99.00"), "payback_reached": True,
    },
    {**labels("NEW", "NEW", "ESTABLISH", "GROWTH", "ACQUIRE"), "current_value": money("300.00")},
)  # fmt: skip

# A return after 300 silent days: 420, 400, 380, 340 days ago, then 40. The gaps before the silence are 20, 20
# and 40, its churn gap max(180, 80) = 180 < 300, ended 40 < 90 days ago.
# In the window 340 and 40: 2 x 25.00 = 50.00. MAINTAIN from the day after day 90, 329 days ago to today: 330
# days, 33.00. Value 17.00. Payback: 125.00 < 233.00; alone 125.00 > 0.
STORIES["returned_300"] = Story(
    buys("returned_300", [420, 400, 380, 340, 40], "25.00"),
    {
        **labels("REACTIVATED", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "relationship_days": 420, "intermediary_value_12m": money("50.00"), "cost_12m": money("33.00"),
        "current_value": money("17.00"), "payback_reached": False,
    },
    {
        **labels("REACTIVATED", "ACTIVE", "ESTABLISH", "GROWTH", "RETAIN"),
        "current_value": money("50.00"), "payback_reached": None,
    },
)  # fmt: skip

# Four years of weekly use: 1459, 1452, ... 3 days ago, 209 of 10.00; 52 of them (360, 353, ... 3) in the
# window. Steady, but the holdings' extract knows of no product: not mature, and no growth (26 in 180 days
# against 52 in 365): active. Alone products are unknown and do not count against it: mature. Value 520.00 -
# 36.50 = 483.50. Payback: 2,090.00 > 200.00 + (1459 - 90) x 0.10 = 336.90.
STORIES["weekly_four_years"] = Story(
    buys("weekly_four_years", range(3, 1460, 7), "10.00"),
    {
        **labels("ACTIVE", "ACTIVE", "ESTABLISH", "GROWTH", "RETAIN"),
        "purchase_days_total": 209, "rfm_purchase_days": 52, "products_held": 0,
        "intermediary_value_12m": money("520.00"), "current_value": money("483.50"), "payback_reached": True,
    },
    {**labels("MATURE", "MATURE", "MATURE", "MATURITY", "RETAIN"), "current_value": money("520.00")},
)  # fmt: skip

# Use that halves: 600 days ago, then every third day from 453 to 90 (122 of them), then every sixth from 89
# to 5 (15). 122 in 365 days let one expect 30.1 in 90; 15 is half of it; of 137 a share of 90/455 (mean 27.1,
# deviation 4.66) is at most 15 with p = 0.006. In the window 363, 360, ... 90 (92) and 15: 107 x 4.00 =
# 428.00. Value 428.00 - 36.50 = 391.50.
HALVING = (600, *range(453, 89, -3), *range(89, 4, -6))
STORIES["halving"] = Story(
    buys("halving", HALVING, "4.00"),
    {
        **labels("DECLINING", "CHURNED", "DECLINE", "DECLINE", "LOSE"),
        "purchase_days_total": 138, "trend_window_days": 90, "trend_purchases": 15,
        "trend_baseline_purchases": 122, "trend_baseline_days": 365, "rfm_purchase_days": 107,
        "intermediary_value_12m": money("428.00"), "current_value": money("391.50"),
    },
    {**labels("DECLINING", "CHURNED", "DECLINE", "DECLINE", "LOSE"), "current_value": money("428.00")},
)  # fmt: skip

# A prospect reached by a campaign, one who applied, one in the control group, one reached only tomorrow.
PROSPECT = labels("PROSPECT", "PROSPECT", "PROSPECT", "POTENTIAL", "ACQUIRE")
CONTACTED = labels("CONTACTED", "PROSPECT", "CONTACT", "POTENTIAL", "ACQUIRE")
STORIES["reached"] = Story(
    (Contact("C1", "reached", at(10), "SMS", reached=True, engaged=False, is_control=False),),
    {
        **CONTACTED, "has_relationship": False, "current_value": None, "potential_index": None,
        "quadrant": None, "is_new": False, "is_existing": False, "relationship_start": None,
    },
)  # fmt: skip
STORIES["applied"] = Story((Event("applied", at(400), "APPLICATION"),), CONTACTED)
STORIES["in_control"] = Story(
    (Contact("C1", "in_control", at(10), None, reached=False, engaged=False, is_control=True),), PROSPECT
)
STORIES["complained"] = Story((Event("complained", at(3), "COMPLAINT"),), PROSPECT)
STORIES["surveyed"] = Story((Survey("surveyed", ago(3), 9, 80),), PROSPECT)

# A holder without a purchase, whose product has its own rates, changed in the window: 36,500 is 365 x 100, so
# a day earns 100 x 0.01 = 1.00 in 2024 (184 days) and 0.50 in 2025 (181 days): 184.00 + 90.50 = 274.50.
# Value 274.50 - 36.50 = 238.00. No contribution: payback not reached.
STORIES["holder"] = Story(
    (
        Holding("holder", "A-holder", "TERM", ago(800), matures_on=ago(-200), is_mobile=False),
        *months("holder", "36500.00", account="A-holder", product="TERM"),
    ),
    {
        **labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "relationship_days": 800, "recency_days": None, "liability_value_12m": money("274.50"),
        "intermediary_value_12m": money("0.00"), "cost_12m": money("36.50"),
        "current_value": money("238.00"), "rates_missing_days": 0, "payback_reached": False, "live": True,
        "products_held": 1, "mobile_accounts": 0, "financial_assets": money("36500.00"),
    },
)  # fmt: skip

# Deposits of three million, by customer, and nothing else. No purchase and no holding: no relationship, no
# value; but live (3,000,000 >= 1,000), and no purchase yet: a holder. Platinum since August 2024.
STORIES["three_million"] = Story(
    months("three_million", "3000000.00"),
    {
        **labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "has_relationship": False, "current_value": None, "live": True,
        "average_deposit_12m": money("3000000.00"), "balance_covered_days": 365,
        "financial_assets": money("3000000.00"), "deposit_tier": "PLATINUM", "deposit_tier_raw": "PLATINUM",
        "deposit_adb": money("3000000.00"), "deposit_basis": "MONTH_END", "deposit_months_below": 0,
    },
)  # fmt: skip

# The same three million on a savings account: 3,000,000 x 0.015 = 45,000.00, less 36.50.
STORIES["three_million_held"] = Story(
    (
        Holding("three_million_held", "A-three", "SAVINGS", ago(800)),
        *months("three_million_held", "3000000.00", account="A-three", product="SAVINGS"),
    ),
    {
        **labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "liability_value_12m": money("45000.00"), "current_value": money("44963.50"),
        "deposit_tier": "PLATINUM",
    },
)  # fmt: skip

# A negative contribution: -5.00 every 30 days, 610, 580, ... 10 days ago (21); in the window 340, ... 10: 12,
# -60.00. Value -60.00 - 36.50 = -96.50. Steady for more than a year, but it does not pay: active.
STORIES["negative"] = Story(
    buys("negative", range(10, 611, 30), "-5.00"),
    {
        **labels("ACTIVE", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "historic_contribution": money("-105.00"), "intermediary_value_12m": money("-60.00"),
        "current_value": money("-96.50"), "payback_reached": False,
    },
    {
        **labels("ACTIVE", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "current_value": money("-60.00"),
    },
)  # fmt: skip

# Silent for 300 days (360, 330, 300; own gap 30, churn gap 180), 60.00 in the window, with a mortgage of
# 100,000 x 0.03 = 3,000.00. Value 3,000.00 + 60.00 - 36.50 = 3,023.50. On time it is live, so a holder; 45
# days overdue it is not, so churned. Payback: 60.00 < 200.00 + 81.00.
for name, overdue, state in (
    ("loan_on_time", 0, labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN")),
    ("loan_overdue", 45, labels("CHURNED", "CHURNED", "DECLINE", "DECLINE", "LOSE")),
):
    STORIES[name] = Story(
        (
            *buys(name, [360, 330, 300], "20.00"),
            Holding(name, f"A-{name}", "MORTGAGE", ago(900), days_overdue=overdue),
            *months(name, "100000.00", column="loan_balance", account=f"A-{name}", product="MORTGAGE"),
        ),
        {
            **state, "asset_value_12m": money("3000.00"), "liability_value_12m": money("0.00"),
            "intermediary_value_12m": money("60.00"), "current_value": money("3023.50"),
            "average_loan_12m": money("100000.00"), "latest_loans": money("100000.00"),
            "live": overdue == 0, "debts_settled": False, "financial_asset_accounts": 0,
        },
        {**labels("CHURNED", "CHURNED", "DECLINE", "DECLINE", "LOSE"), "current_value": money("60.00")},
    )  # fmt: skip

# A terminated one: last bought 500 days ago, its account closed 450 days ago (2024-04-06), last seen with
# 5,000 on 2024-03-31, which stands until the closing, before the window. Nothing open, nothing owed.
STORIES["terminated"] = Story(
    (
        *buys("terminated", [520, 500], "40.00"),
        Holding("terminated", "A-terminated", "SAVINGS", ago(900), closed_on=ago(450)),
        Balance("terminated", date(2024, 3, 31), Decimal("5000.00"), account_id="A-terminated"),
    ),
    {
        **labels("TERMINATED", "CHURNED", "DECLINE", "TERMINATION", "LOSE"),
        "debts_settled": True, "live": False, "cost_12m": money("0.00"), "current_value": money("0.00"),
        "balance_covered_days": 0, "average_deposit_12m": money("0.00"), "products_held": 0,
        "is_existing": False, "deposit_tier": "ORDINARY", "deposit_adb": money("0.00"),
    },
    labels("CHURNED", "CHURNED", "DECLINE", "DECLINE", "LOSE"),
)  # fmt: skip

# A mature one with two products: weekly by app, 731, 724, ... 3 days ago (105); 52 in the window at 9.90 =
# 514.80. Savings 12,000 x 0.015 = 180.00. Value 514.80 + 180.00 - 36.50 = 658.30.
# Payback: 105 x 9.90 = 1,039.50 > 200.00 + 641 x 0.10 = 264.10.
STORIES["mature_two"] = Story(
    (
        *buys("mature_two", range(3, 732, 7), "10.00", "APP"),
        Holding("mature_two", "A-mature", "SAVINGS", ago(731), is_mobile=True),
        Holding("mature_two", "K-mature", "CARD", ago(700), is_mobile=True),
        *months("mature_two", "12000.00", account="A-mature", product="SAVINGS"),
    ),
    {
        **labels("MATURE", "MATURE", "MATURE", "MATURITY", "RETAIN"),
        "products_held": 2, "mobile_accounts": 2, "financial_asset_accounts": 1, "product_opened": False,
        "intermediary_value_12m": money("514.80"), "liability_value_12m": money("180.00"),
        "current_value": money("658.30"), "payback_reached": True,
    },
    {**labels("MATURE", "MATURE", "MATURE", "MATURITY", "RETAIN"), "current_value": money("520.00")},
)  # fmt: skip

# 100,000 up to March 2025, 50,000 from April, three times: by withdrawal, by revaluation, by nobody knows
# what. Recent days 2025-04-02 to 2025-06-30, prior days 2024-04-02 to 2025-04-01: 364 of 100,000 and one
# (April 1, for which the end of April stands) of 50,000: mean 99,863.01. Withdrawal: recent mean 50,000 <=
# 69,904.11, down by 49,863.01 >= 10,000: declining. Revaluation of -50,000 on April 30: 28 days (April 2 to
# 29) at 50,000, 62 days at 50,000 + 50,000: mean 84,444.44, not falling. An unknown flow counts as one:
# falling. Average: (274 x 100,000 + 91 x 50,000) / 365 = 31,950,000 / 365 = 87,534.246... As deposits they
# earn 31,950,000 x 0.015 / 365 = 479,250 / 365 = 1,313.0136...; less 36.50: 1,276.5136...
FALLING = ["100000.00"] * 13 + ["50000.00"] * 3
for name, column, product, flow in (
    ("falls_by_withdrawal", "deposit_balance", "SAVINGS", "-50000.00"),
    ("falls_by_revaluation", "investment_value", "WEALTH", "0.00"),
    ("falls_by_unknown", "investment_value", "WEALTH", None),
):
    deposits = column == "deposit_balance"
    STORIES[name] = Story(
        (
            Holding(name, f"A-{name}", product, ago(1000)),
            *months(
                name, FALLING, column=column, account=f"A-{name}", product=product,
                ends=BEFORE + MONTH_ENDS, flows=["0.00"] * 13 + [flow, "0.00", "0.00"],
            ),
        ),
        {
            **(
                labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN")
                if name == "falls_by_revaluation"
                else labels("DECLINING", "CHURNED", "DECLINE", "DECLINE", "LOSE")
            ),
            "balances_falling": name != "falls_by_revaluation",
            "average_deposit_12m": money("87534.25" if deposits else "0.00"),
            "average_investment_12m": money("0.00" if deposits else "87534.25"),
            "liability_value_12m": money("1313.01" if deposits else "0.00"),
            "current_value": money("1276.51" if deposits else "-36.50"),
            "financial_assets": money("50000.00"), "deposit_tier": "GOLD" if deposits else "ORDINARY",
        },
    )  # fmt: skip

# Consent. Opted out five days ago: no. Opted out in five days: that is not known yet. Refused; never asked.
for name, consent, out, allowed in (
    ("opted_out", True, ago(5), False),
    ("opts_out_later", True, ago(-5), True),
    ("refused", False, None, False),
    ("never_asked", None, None, None),
    ("never_asked_opted_out", None, ago(5), False),
):
    STORIES[name] = Story(
        (Customer(name, ago(500), 1980, "North", marketing_consent=consent, opted_out_on=out),),
        {**PROSPECT, "marketing_allowed": allowed, "birth_year": 1980, "branch": "North"},
    )

# Gold tier on watch. 60,000 until April, 40,000 in May and June: two misses, still gold, watched since the
# first.
GOLD = ["60000.00"] * 12


def gold_until(misses: int, last: int = 0) -> list[str]:
    """Gold months, then so many misses, then so many gold ones again."""
    return GOLD[: 12 - misses - last] + ["40000.00"] * misses + GOLD[:last]


STORIES["gold_on_watch"] = Story(
    months("gold_on_watch", gold_until(2)),
    {
        "deposit_tier": "GOLD", "deposit_tier_raw": "ORDINARY", "deposit_tier_status_code": "WATCH",
        "deposit_months_below": 2, "deposit_adb": money("40000.00"), "deposit_basis": "MONTH_END",
        **labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
    },
)  # fmt: skip
# Misses in April, May and June: the fall takes force in July; on the last day of June it is gold, on watch.
STORIES["gold_third_miss"] = Story(
    months("gold_third_miss", gold_until(3)),
    {"deposit_tier": "GOLD", "deposit_tier_status_code": "WATCH", "deposit_months_below": 3},
)
# Misses in March, April and May: since June ordinary, like May; June's 40,000 is no miss of that.
STORIES["gold_lost"] = Story(
    months("gold_lost", gold_until(4)),
    {"deposit_tier": "ORDINARY", "deposit_tier_status_code": "NORMAL", "deposit_months_below": 0},
)
# Lost in June like the one before, and June reaches gold again: that counts from July.
STORIES["gold_again"] = Story(
    months("gold_again", gold_until(3, 1)),
    {
        "deposit_tier": "ORDINARY", "deposit_tier_raw": "GOLD", "deposit_tier_status_code": "NORMAL",
        "deposit_months_below": 0,
    },
)  # fmt: skip

# Gaps. Customer-level rows of 10,000 on 2024-09-30 (stands from August 31: 31 days), 2025-01-31 (January:
# 31), 2025-03-10 (from February 8: 31) and after it until April 10 (31): 124 covered days. 10,000 x 0.015 x
# 124 / 365 = 18,600 / 365 = 50.9589...; less 36.50: 14.4589... On the day nothing stands: neither assets nor
# live.
STORIES["gaps"] = Story(
    (
        Holding("gaps", "A-gaps", "SAVINGS", ago(900)),
        *months("gaps", "10000.00", ends=(date(2024, 9, 30), date(2025, 1, 31), date(2025, 3, 10))),
    ),
    {
        **labels("ACTIVE", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "balance_covered_days": 124, "average_deposit_12m": money("10000.00"),
        "liability_value_12m": money("50.96"), "current_value": money("14.46"), "live": False,
        "financial_assets": money("0.00"), "deposit_adb": money("0.00"),
    },
)  # fmt: skip

# Two accounts, 4,000 of savings and 6,000 of term, and a customer-level row of 10,000 on the same days, which
# is set aside. Savings 4,000 x 0.015 = 60.00; term (184 x 60 + 181 x 30) / 365 = 16,470 / 365 = 45.1232...:
# 105.1232...; less 36.50: 68.6232... The rows of another customer on the term account are set aside.
STORIES["two_accounts"] = Story(
    (
        Holding("two_accounts", "A-two", "SAVINGS", ago(1000), is_mobile=True),
        Holding("two_accounts", "B-two", "TERM", ago(1000), is_mobile=False),
        *months("two_accounts", "4000.00", account="A-two", product="SAVINGS"),
        *months("two_accounts", "6000.00", account="B-two", product="TERM"),
        *months("two_accounts", "10000.00"),
    ),
    {
        **labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
        "liability_value_12m": money("105.12"), "current_value": money("68.62"),
        "average_deposit_12m": money("10000.00"), "financial_assets": money("10000.00"),
        "products_held": 2, "mobile_accounts": 1, "product_opened": False,
    },
)  # fmt: skip
STORIES["on_anothers_account"] = Story(
    months("on_anothers_account", "6000.00", account="B-two", product="TERM"),
    {**PROSPECT, "financial_assets": money("0.00"), "balance_covered_days": 0},
)

# Reversals, fees and channels. 50 days ago 100.00 with a fee of 0.50 at the branch (1.50), of which 40.00 and
# 0.25 of the fee came back: 60.00 + 0.50 - 0.25 - 1.50 = 58.75. 45 days ago 30.00, undone. 20 days ago
# 1,000.00 by card at the branch (2.00 since June): 10.00 - 2.00 = 8.00. Fees on other events: 2.00 by app (no
# purchase, no channel cost); 5.00 on one that was undone, nothing; 7.00 of 365 days ago, outside.
# Contribution 66.75, with fees 68.75, NEW 200.00: value -131.25.
STORIES["fees_and_reversals"] = Story(
    (
        *buys("fees_and_reversals", [50], "100.00", "BRANCH", fee="0.50"),
        undo("fees_and_reversals", 50, 48, "-40.00", "-0.25"),
        *buys("fees_and_reversals", [45], "30.00", "BRANCH"),
        undo("fees_and_reversals", 45, 44, "-30.00"),
        *buys("fees_and_reversals", [20], "1000.00", "BRANCH", "CARD"),
        *buys("fees_and_reversals", [30], "3.00", "APP", "FEE", "2.00"),
        *buys("fees_and_reversals", [31], "3.00", "APP", "FEE", "5.00"),
        undo("fees_and_reversals", 31, 31, "3.00", kind="FEE"),
        *buys("fees_and_reversals", [365], "3.00", "APP", "FEE", "7.00"),
    ),
    {
        **labels("NEW", "NEW", "ESTABLISH", "DEVELOPMENT", "ACQUIRE"),
        "purchase_days_total": 2, "rfm_contribution": money("66.75"),
        "intermediary_value_12m": money("68.75"), "cost_12m": money("200.00"),
        "current_value": money("-131.25"), "payback_reached": False,
    },
    {
        # Without the costs of channels: 60.25 + 10.00 + 2.00.
        **labels("NEW", "NEW", "ESTABLISH", "GROWTH", "ACQUIRE"),
        "rfm_contribution": money("70.25"), "current_value": money("72.25"),
    },
)  # fmt: skip

# A second product, 100 days ago: growing. Purchases of 15.00 every 45 days, 425 to 20 days ago (10): in the
# window 335, ... 20, eight of them in eight months: not mature. 120.00, less MAINTAIN of 335 days 33.50:
# 86.50.
STORIES["second_product"] = Story(
    (
        *buys("second_product", range(20, 426, 45), "15.00"),
        Holding("second_product", "A-second", "SAVINGS", ago(425)),
        Holding("second_product", "B-second", "FUND", ago(100)),
    ),
    {
        **labels("GROWING", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "DEVELOP"),
        "product_opened": True, "products_held": 2, "financial_asset_accounts": 2,
        "intermediary_value_12m": money("120.00"), "cost_12m": money("33.50"),
        "current_value": money("86.50"), "payback_reached": False,
    },
    {**labels("ACTIVE", "ACTIVE", "ESTABLISH", "GROWTH", "RETAIN"), "current_value": money("120.00")},
)  # fmt: skip

# Daily rows in June: 100,000 to the 15th, nothing after: an average of 50,000, gold, though the month-end
# says ordinary. Gold counts from July. June 1, the first row, stands from May 2 (31 days): 60 covered days,
# of them 31 + 14 at 100,000: 75,000 on average. On the day there is nothing, so not live.
STORIES["daily_june"] = Story(
    tuple(
        Balance("daily_june", date(2025, 6, day), Decimal("100000.00" if day <= 15 else "0.00"))
        for day in range(1, 31)
    ),
    {
        **PROSPECT, "deposit_tier": "ORDINARY", "deposit_tier_raw": "GOLD", "deposit_basis": "DAILY",
        "deposit_adb": money("50000.00"), "balance_covered_days": 60,
        "average_deposit_12m": money("75000.00"),
    },
)  # fmt: skip

# A product whose rates begin in 2025: until then it earns by the general ones. 36,500 is 100 a day, so
# x 0.015 x 184 = 276.00 in 2024, and x 0.02 x 181 = 362.00 in 2025: 638.00; less 36.50: 601.50.
STORIES["own_rates_later"] = Story(
    (
        Holding("own_rates_later", "A-bond", "BOND", ago(700)),
        *months("own_rates_later", "36500.00", account="A-bond", product="BOND"),
    ),
    {
        "liability_value_12m": money("638.00"), "current_value": money("601.50"), "rates_missing_days": 0,
        **labels("HOLDER", "ACTIVE", "ESTABLISH", "DEVELOPMENT", "RETAIN"),
    },
)  # fmt: skip


TABLE_OF = {
    Transaction: "transactions", Customer: "customers", Holding: "holdings", Balance: "balances",
    Contact: "contacts", Event: "events", Survey: "surveys",
}  # fmt: skip


def story_bank() -> Bank:
    """All the stories as one bank, in one file a table, without dates of delivery.

    Where a story does not say whether an account is used by a mobile device, it is not.
    """
    rows: dict[str, list[Any]] = {name: [] for name in TABLE_OF.values()}
    for story in STORIES.values():
        for row in story.rows:
            told = replace(row, is_mobile=bool(row.is_mobile)) if isinstance(row, Holding) else row
            rows[TABLE_OF[type(row)]].append(told)
    tables = {name: Table(tuple(found), (f"{name}.csv",)) for name, found in rows.items()}
    tables["rates"] = Table(RATES, ("rates.csv",))
    tables["costs"] = Table(COSTS, ("costs.csv",))
    return Bank(DAY, tables, TERMS)


# Replays of deposit tiers: raw tiers of complete months (0 ORDINARY to 3 DIAMOND), whether the day lies in
# the month after them, and (tier, status, months below) by preset.
REPLAYS = (
    # Gold in the first month: (a) counts in the next month, (b) and (c) at once.
    ((1,), False, {"a": (0, "NORMAL", 0), "b": (1, "NORMAL", 0), "c": (1, "NORMAL", 0)}),
    ((1,), True, {"a": (1, "NORMAL", 0), "b": (1, "NORMAL", 0), "c": (1, "NORMAL", 0)}),
    # One miss: (a) watches; (b) never does; (c) not yet.
    ((1, 1, 0), True, {"a": (1, "WATCH", 1), "b": (1, "NORMAL", 1), "c": (1, "NORMAL", 1)}),
    # Three misses: (a) falls in month four; (c) watches.
    ((1, 1, 0, 0, 0), False, {"a": (1, "WATCH", 3), "b": (1, "NORMAL", 3), "c": (1, "WATCH", 3)}),
    ((1, 1, 0, 0, 0), True, {"a": (0, "NORMAL", 0), "b": (1, "NORMAL", 3), "c": (1, "WATCH", 3)}),
    # Diamond, five misses, then reached again: forgiven.
    ((3, 3, 0, 1, 2, 1, 0, 3), True, {"a": (3, "NORMAL", 0), "b": (3, "NORMAL", 0), "c": (3, "NORMAL", 0)}),
    # Diamond, six misses, platinum once among them, ordinary in the last: in the month after, (a) and (b)
    # fall to ordinary, (c) to platinum, the highest of the six.
    (
        (3, 3, 0, 1, 2, 1, 0, 0), False,
        {"a": (3, "WATCH", 6), "b": (3, "NORMAL", 6), "c": (3, "WATCH", 6)},
    ),
    (
        (3, 3, 0, 1, 2, 1, 0, 0), True,
        {"a": (0, "NORMAL", 0), "b": (0, "NORMAL", 0), "c": (2, "NORMAL", 0)},
    ),
    # And the month after it gold: (a) is ordinary that month and gold in the next; (b) gold; (c) misses one.
    (
        (3, 3, 0, 1, 2, 1, 0, 0, 1), True,
        {"a": (1, "NORMAL", 0), "b": (1, "NORMAL", 0), "c": (2, "NORMAL", 1)},
    ),
)  # fmt: skip


# Survival by hand: lives of 100 (closed), 200 (open), 200 (closed), 400 (open) and 400 days (open).
# S: 1 before 100; 1 - 1/5 = 4/5 from 100; 4/5 x (1 - 1/4) = 3/5 from 200 (the open one of 200 days is at risk
# on day 200); constant after 400.
LIVES = (
    Holding("k1", "K1", "SAVINGS", ago(100 + 50), closed_on=ago(50)),
    Holding("k2", "K2", "SAVINGS", ago(200)),
    Holding("k3", "K3", "SAVINGS", ago(200 + 7), closed_on=ago(7)),
    Holding("k4", "K4", "SAVINGS", ago(400)),
    Holding("k5", "K5", "SAVINGS", ago(400)),
)
# A holding of age 0 with a margin of 12.00 a month, undiscounted: months end after 30.4, 60.9, 91.3 days (S =
# 1: 3 x 12.00), 121.75 ... 182.6 (months 4 to 6, S = 4/5: 3 x 9.60), 213.1 and on (months 7 to 12, S = 3/5: 6
# x 7.20): 36.00 + 28.80 + 43.20 = 108.00. One of age 200: S(200) = 3/5 and constant: 12 x 12.00 = 144.00. One
# of age 150: S(150) = 4/5; month 1 (180.4) still 4/5: 12.00; months 2 to 12: (3/5) / (4/5) x 12.00 = 9.00
# each, 99.00: 111.00.
ANNUITIES = ((0, 108.0), (200, 144.0), (150, 111.0))
