"""The contract once more, in plain Python: slow, obvious, and sharing nothing with the SQL.

All but the statistical models is computed here from the delivered rows, with fractions and whole numbers.
What the models say (`clv_12m`, `residual_clv_rank`) is taken as given; what is derived from it is computed.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import comb
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from scipy.stats import binom, chi2

NEAR = 1e-9  # a p-value nearer to the level than this may fall on either side


@dataclass(frozen=True)
class Row:
    """One delivered row, as text stands in the file, with the file and its delivery date."""

    customer_id: str
    posted_at: str
    amount: str
    transaction_type: str = ""
    fee_amount: str = ""
    reverses_id: str = ""
    transaction_id: str = ""
    currency: str = "EUR"
    file: int = 0
    extract: date | None = None

    def content(self, zone: str) -> tuple[object, ...]:
        """What two deliveries of one event have in common: the moment and the numbers, however written."""
        return (
            self.customer_id, self.moment(zone), Decimal(self.amount), self.transaction_type,
            self.fee_amount and Decimal(self.fee_amount), self.reverses_id, self.transaction_id,
        )  # fmt: skip

    def moment(self, zone: str) -> datetime:
        """Local time in the bank's zone; a time without an offset is local, a date is its midnight."""
        moment = datetime.fromisoformat(self.posted_at)
        return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) if moment.tzinfo else moment

    def day(self, zone: str) -> date:
        """Calendar day in the bank's zone."""
        return self.moment(zone).date()


@dataclass(frozen=True)
class Terms:
    """The definitions of a run: rates by type (None: not a purchase), zone, currency, and the thresholds."""

    rates: Mapping[str, str | None]
    default_rate: str | None = "1"
    zone: str = "UTC"
    currency: str = "EUR"
    window: int = 365
    new: int = 90
    returned: int = 90
    churn: int = 180
    churn_multiple: int = 4
    recent: int = 90
    long_recent: int = 180
    baseline: int = 365
    baseline_days: int = 180
    baseline_purchases: int = 6
    expected: int = 10
    decline: Fraction = Fraction(7, 10)
    growth: Fraction = Fraction(6, 5)
    level: Fraction = Fraction(1, 20)
    late_multiple: int = 3
    late_longest: Fraction = Fraction(5, 4)
    late_days: int = 60
    late_gaps: int = 5
    mature_days: int = 365
    mature_months: int = 9
    mature_multiple: int = 2
    mature_silence: int = 60
    variation: Fraction = Fraction(7, 20)

    def rate(self, kind: str) -> Fraction | None:
        """Margin rate of a transaction type; None: not a purchase."""
        text = self.rates.get(kind, self.default_rate)
        return None if text is None else Fraction(text)


# Identity of rows, purchases, contribution


def standing_rows(rows: Iterable[Row], terms: Terms) -> list[Row]:
    """One row an event: the latest delivery of an id; without ids, the largest count in any one file."""
    with_id: dict[str, Row] = {}
    counts: dict[tuple[object, ...], Counter[int]] = defaultdict(Counter)
    sample: dict[tuple[object, ...], Row] = {}
    for row in rows:
        if row.currency != terms.currency:
            continue
        if row.transaction_id:
            other = with_id.get(row.transaction_id)
            if other is None or (row.extract or date.min) > (other.extract or date.min):
                with_id[row.transaction_id] = row
            elif row.extract == other.extract and row.content(terms.zone) != other.content(terms.zone):
                raise ValueError("the oracle leaves ties by content hash alone")
        else:
            content = row.content(terms.zone)
            counts[content][row.file] += 1
            sample[content] = row
    without_id = [sample[content] for content, found in counts.items() for _ in range(max(found.values()))]
    return [*with_id.values(), *without_id]


def _standing(rows: Sequence[Row], as_of: date, terms: Terms) -> Iterator[tuple[Row, Fraction, Fraction]]:
    """Events that are no reversals and not fully reversed: what is left of the amount, and the fees."""
    seen = [row for row in rows if row.day(terms.zone) <= as_of]
    by_original: dict[str, list[Row]] = defaultdict(list)
    for row in seen:
        if row.reverses_id:
            by_original[row.reverses_id].append(row)
    for row in seen:
        found = [] if row.reverses_id else by_original.get(row.transaction_id, [])
        reversals = [one for one in found if one.customer_id == row.customer_id]
        amount = Fraction(row.amount)
        undone = sum((abs(Fraction(r.amount)) for r in reversals), Fraction(0))
        if row.reverses_id or (reversals and undone >= abs(amount)):
            continue
        left = (abs(amount) - undone) * (1 if amount >= 0 else -1)
        yield row, left, sum((Fraction(r.fee_amount or "0") for r in [row, *reversals]), Fraction(0))


def purchase_events(rows: Sequence[Row], as_of: date, terms: Terms) -> list[tuple[str, date, Fraction]]:
    """Qualifying events up to `as_of`: customer, day, contribution after reversals."""
    return [
        (row.customer_id, row.day(terms.zone), left * rate + fees)
        for row, left, fees in _standing(rows, as_of, terms)
        if (rate := terms.rate(row.transaction_type)) is not None
    ]


def other_fees(rows: Sequence[Row], as_of: date, terms: Terms) -> dict[str, Fraction]:
    """Fees in the window on events that are no purchases, by customer."""
    found: dict[str, Fraction] = defaultdict(Fraction)
    for row, _, fees in _standing(rows, as_of, terms):
        if terms.rate(row.transaction_type) is None and (as_of - row.day(terms.zone)).days < terms.window:
            found[row.customer_id] += fees
    return found


Days = dict[date, Fraction]


def purchase_days(rows: Sequence[Row], as_of: date, terms: Terms) -> dict[str, Days]:
    """Contribution by purchase day, of every customer seen up to `as_of` (none: no purchases)."""
    found: dict[str, Days] = {row.customer_id: {} for row in rows if row.day(terms.zone) <= as_of}
    for customer, day, contribution in purchase_events(rows, as_of, terms):
        found[customer][day] = found[customer].get(day, Fraction(0)) + contribution
    return found


def cents(value: Fraction) -> Decimal:
    """Two decimals, half away from zero."""
    scaled = abs(value) * 100
    whole = scaled.numerator // scaled.denominator
    if scaled - whole >= Fraction(1, 2):
        whole += 1
    return Decimal(whole if value >= 0 else -whole).scaleb(-2)


def median(values: Sequence[Any]) -> Any:
    """Middle one, or the exact mean of the two middle ones; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def order_statistic(values: Sequence[Any], numerator: int, denominator: int) -> Any:
    """The smallest value that a share of at least numerator/denominator do not exceed."""
    for place, value in enumerate(sorted(values), 1):
        if place * denominator >= numerator * len(values):
            return value
    raise ValueError("no values")


# Windows and tests


@dataclass(frozen=True)
class Comparison:
    """Purchases of a recent window beside those of a baseline before it."""

    window: int
    recent: int
    before: int
    exposure: int

    @property
    def ratio(self) -> Fraction:
        """Recent rate over the baseline's."""
        return Fraction(self.recent * self.exposure, self.before * self.window)

    def ratio_at_most(self, share: Fraction) -> bool:
        """Whether the recent rate is at most this share of the baseline's."""
        return Fraction(self.recent, self.window) <= share * Fraction(self.before, self.exposure)

    def ratio_at_least(self, share: Fraction) -> bool:
        """Whether the recent rate is at least this share of the baseline's."""
        return Fraction(self.recent, self.window) >= share * Fraction(self.before, self.exposure)

    def p_fall(self) -> Fraction:
        """P(at most so many recent ones), given the total and equal rates; exact."""
        return tail(self, 0, self.recent)

    def p_rise(self) -> Fraction:
        """P(at least so many recent ones), given the total and equal rates; exact."""
        return tail(self, self.recent, self.recent + self.before)

    def smallest_fall(self, terms: Terms) -> float | None:
        """The smallest fall of the rate that would have been called, by trying every count."""
        share = self.window / (self.window + self.exposure)
        counts = range(self.window + 1)
        tails = [float(p) for p in np.atleast_1d(binom.cdf(counts, [k + self.before for k in counts], share))]
        called = [
            k
            for k, tail in zip(counts, tails, strict=True)
            if Comparison(self.window, k, self.before, self.exposure).ratio_at_most(terms.decline)
            and tail < float(terms.level)
        ]
        if not called:
            return None
        return float(1 - Fraction(max(called), self.window) / Fraction(self.before, self.exposure))


@lru_cache(maxsize=100_000)
def tail(one: Comparison, low: int, high: int) -> Fraction:
    """P(low <= K <= high) of the binomial that equal rates give the recent window, in whole numbers."""
    n, w, e = one.recent + one.before, one.window, one.exposure
    return Fraction(sum(comb(n, k) * w**k * e ** (n - k) for k in range(low, high + 1)), (w + e) ** n)


def compare(ago: Sequence[int], window: int, terms: Terms) -> Comparison | None:
    """The comparison of a window with its baseline; None where the baseline is not defined."""
    first = max(ago)
    exposure = min(terms.baseline, first - window)
    before = sum(window <= d < window + terms.baseline and d < first for d in ago)
    if exposure < terms.baseline_days or before < terms.baseline_purchases:
        return None
    return Comparison(window, sum(d < window for d in ago), before, exposure)


# One customer


@dataclass(frozen=True)
class Facts:
    """What the state machine looks at, for a customer with at least one purchase day. Days are days ago."""

    ago: tuple[int, ...]
    gaps: tuple[int, ...]
    own_gap: Fraction | None
    churn_gap: Fraction
    returned: bool
    trend: Comparison | None
    growth: Comparison | None
    months: tuple[int, ...]
    contribution_window: Fraction
    contribution_total: Fraction
    mean_repeat: Fraction | None

    @property
    def silence(self) -> int:
        """Days since the last purchase day."""
        return self.ago[-1]

    @property
    def age(self) -> int:
        """T: days since the first purchase day."""
        return self.ago[0]

    @property
    def dispersion_p(self) -> float | None:
        """Fisher's index of dispersion of the twelve counts."""
        mean = Fraction(sum(self.months), 12)
        if not mean:
            return None
        return float(chi2.sf(float(sum((Fraction(c) - mean) ** 2 for c in self.months) / mean), 11))

    def variation_at_most(self, limit: Fraction) -> bool:
        """Whether the coefficient of variation of the twelve counts is within the limit, squared exactly."""
        mean = Fraction(sum(self.months), 12)
        return bool(mean) and sum((c - mean) ** 2 for c in self.months) / 11 <= (limit * mean) ** 2


def churn_gap(own: Fraction | None, terms: Terms) -> Fraction:
    """Silence beyond which a customer counts as gone."""
    return max(Fraction(terms.churn), terms.churn_multiple * (own or Fraction(0)))


def facts_of(days: Days, as_of: date, terms: Terms) -> Facts:
    """Everything about one customer with a purchase."""
    ago = tuple((as_of - day).days for day in sorted(days))
    gaps = tuple(a - b for a, b in pairwise(ago))
    own = median([Fraction(g) for g in gaps])
    returned = any(
        ago[i + 1] < terms.returned and gap > churn_gap(median([Fraction(g) for g in gaps[:i]]), terms)
        for i, gap in enumerate(gaps)
    )
    short = compare(ago, terms.recent, terms)
    if short is not None and short.before * terms.recent < terms.expected * short.exposure:
        short = None
    long = compare(ago, terms.long_recent, terms)
    in_window = [d for d in ago if d < terms.window]
    values = [days[day] for day in sorted(days)]
    return Facts(
        ago=ago,
        gaps=gaps,
        own_gap=own,
        churn_gap=churn_gap(own, terms),
        returned=returned,
        trend=short or long,
        growth=long,
        months=tuple(sum(d * 12 // terms.window == month for d in in_window) for month in range(12)),
        contribution_window=sum(
            (v for d, v in zip(ago, values, strict=True) if d < terms.window), Fraction(0)
        ),
        contribution_total=sum(values, Fraction(0)),
        mean_repeat=sum(values[1:], Fraction(0)) / (len(values) - 1) if len(values) > 1 else None,
    )


# The state machine: every rule on its own, for a customer with (Facts) or without (None) a purchase.
# With transactions alone nothing is known of balances, products and contacts: what needs them is false.


def _declining(f: Facts, t: Terms) -> bool:
    if f.silence > f.churn_gap:
        return False
    fell = f.trend is not None and f.trend.ratio_at_most(t.decline) and f.trend.p_fall() < t.level
    late = (
        len(f.gaps) >= t.late_gaps
        and f.own_gap is not None
        and f.silence > max(Fraction(t.late_days), t.late_multiple * f.own_gap, t.late_longest * max(f.gaps))
    )
    return fell or late


def _mature(f: Facts, t: Terms) -> bool:
    own = f.own_gap if f.own_gap is not None else Fraction(0)
    p = f.dispersion_p
    return (
        f.age >= t.mature_days
        and sum(c > 0 for c in f.months) >= t.mature_months
        and f.silence <= max(Fraction(t.mature_silence), t.mature_multiple * own)
        and ((p is not None and p >= t.level) or f.variation_at_most(t.variation))
        and f.contribution_window > 0
    )


def _growing(f: Facts, t: Terms) -> bool:
    return f.growth is not None and f.growth.ratio_at_least(t.growth) and f.growth.p_rise() < t.level


RULES: tuple[tuple[str, Callable[[Facts | None, Terms], bool]], ...] = (
    ("TERMINATED", lambda f, t: False),
    ("REACTIVATED", lambda f, t: f is not None and f.returned),
    ("CHURNED", lambda f, t: f is not None and f.silence > f.churn_gap),
    ("DECLINING", lambda f, t: f is not None and _declining(f, t)),
    ("NEW", lambda f, t: f is not None and f.age < t.new),
    ("HOLDER", lambda f, t: False),
    ("ONE_TIME", lambda f, t: f is not None and len(f.ago) == 1),
    ("MATURE", lambda f, t: f is not None and _mature(f, t)),
    ("GROWING", lambda f, t: f is not None and _growing(f, t)),
    ("ACTIVE", lambda f, t: f is not None),
    ("CONTACTED", lambda f, t: False),
    ("PROSPECT", lambda f, t: True),
)


def rules_met(f: Facts | None, terms: Terms) -> list[str]:
    """All the rules that a customer meets, in their order."""
    return [state for state, rule in RULES if rule(f, terms)]


def on_the_edge(f: Facts | None, terms: Terms) -> bool:
    """Whether a p-value is so near to the level that floating point may decide."""
    if f is None:
        return False
    tails = [c() for c in ((f.trend and f.trend.p_fall), (f.growth and f.growth.p_rise)) if c]
    if f.dispersion_p is not None:
        tails.append(Fraction(f.dispersion_p))
    return any(abs(tail - terms.level) < NEAR for tail in tails)


# stage5, relationship5, icbc6, stage4
LABELS = {
    "TERMINATED": ("CHURNED", "DECLINE", "TERMINATION", "LOSE"),
    "REACTIVATED": ("ACTIVE", "ESTABLISH", "GROWTH", "RETAIN"),
    "CHURNED": ("CHURNED", "DECLINE", "DECLINE", "LOSE"),
    "DECLINING": ("CHURNED", "DECLINE", "DECLINE", "LOSE"),
    "NEW": ("NEW", "ESTABLISH", "DEVELOPMENT", "ACQUIRE"),
    "HOLDER": ("ACTIVE", "ESTABLISH", "GROWTH", "RETAIN"),
    "ONE_TIME": ("NEW", "ESTABLISH", "DEVELOPMENT", "ACQUIRE"),
    "MATURE": ("MATURE", "MATURE", "MATURITY", "RETAIN"),
    "GROWING": ("ACTIVE", "ESTABLISH", "GROWTH", "DEVELOP"),
    "ACTIVE": ("ACTIVE", "ESTABLISH", "GROWTH", "RETAIN"),
    "CONTACTED": ("PROSPECT", "CONTACT", "POTENTIAL", "ACQUIRE"),
    "PROSPECT": ("PROSPECT", "PROSPECT", "POTENTIAL", "ACQUIRE"),
}
LABEL_SYSTEMS = ("stage5", "relationship5", "icbc6", "stage4")


def labels_of(state: str, f: Facts | None) -> dict[str, str]:
    """The four label systems of a state; the growth period is earned by income."""
    labels = dict(zip(LABEL_SYSTEMS, LABELS[state], strict=True))
    paid = f is not None and f.contribution_total > 0
    if state in ("REACTIVATED", "HOLDER", "GROWING", "ACTIVE"):
        labels["icbc6"] = "GROWTH" if paid else "DEVELOPMENT"
    if state == "NEW" and f is not None and len(f.ago) > 1 and paid:
        labels["icbc6"] = "GROWTH"
    return labels


def customer(days: Days, as_of: date, terms: Terms, fees: Fraction = Fraction(0)) -> dict[str, Any]:
    """The published columns of one customer that depend on its own rows alone."""
    if not days:
        return {
            "first_purchase_day": None, "last_purchase_day": None, "purchase_days_total": 0,
            "frequency": None, "t_x_days": None, "t_days": None, "historic_contribution": None,
            "mean_repeat_contribution": None,
            "recency_days": None, "rfm_purchase_days": None, "rfm_contribution": None, "current_value": None,
            "own_gap_days": None, "is_new": False, "is_existing": False, **_compared(None, terms),
            **_steadiness(None), "lifecycle_state": "PROSPECT", **labels_of("PROSPECT", None),
        }  # fmt: skip
    f = facts_of(days, as_of, terms)
    state = rules_met(f, terms)[0]
    value = cents(f.contribution_window)
    return {
        "first_purchase_day": min(days),
        "last_purchase_day": max(days),
        "purchase_days_total": len(days),
        "frequency": len(days) - 1,
        "t_x_days": (max(days) - min(days)).days,
        "t_days": (as_of - min(days)).days,
        "historic_contribution": cents(f.contribution_total),
        "mean_repeat_contribution": None if f.mean_repeat is None else cents(f.mean_repeat),
        "recency_days": f.silence,
        "rfm_purchase_days": sum(d < terms.window for d in f.ago),
        "rfm_contribution": value,
        "current_value": cents(f.contribution_window + fees),
        "own_gap_days": None if f.own_gap is None else Decimal(str(float(f.own_gap))),
        "churn_gap_days": Decimal(str(float(f.churn_gap))),
        "is_new": f.age <= terms.new,
        "is_existing": f.age > terms.new and state != "TERMINATED",
        **_compared(f, terms),
        **_steadiness(f),
        "lifecycle_state": state,
        **labels_of(state, f),
    }


def _compared(f: Facts | None, terms: Terms) -> dict[str, Any]:
    trend, growth = (f.trend, f.growth) if f else (None, None)
    return {
        "trend_window_days": trend and trend.window,
        "trend_purchases": trend.recent if trend else None,
        "trend_baseline_purchases": trend.before if trend else None,
        "trend_baseline_days": trend.exposure if trend else None,
        "decline_p_value": float(trend.p_fall()) if trend else None,
        "smallest_detectable_fall": trend.smallest_fall(terms) if trend else None,
        "growth_p_value": float(growth.p_rise()) if growth else None,
    }


def _steadiness(f: Facts | None) -> dict[str, Any]:
    known = f is not None and f.age >= 365
    return {"dispersion_p_value": f.dispersion_p if f is not None and known else None}


# Cuts, scores, axes: they look at the whole population


@dataclass(frozen=True)
class Cuts:
    """What a calibration freezes."""

    recency: tuple[int, ...]
    frequency: tuple[int, ...]
    monetary: tuple[Decimal, ...]
    clv_decile: tuple[Decimal, ...] | None
    value_tier: tuple[Decimal, ...] | None
    current_theta: Decimal | None
    potential_theta: Decimal | float | None


def cuts_of(people: Sequence[Mapping[str, Any]]) -> Cuts:
    """Cuts of a population: our columns plus `clv_12m` and `potential_index` as published."""
    buyers = [p for p in people if p["purchase_days_total"]]
    clv = [p["clv_12m"] for p in buyers if p["clv_12m"] is not None]
    potential = [p["potential_index"] for p in buyers if p["potential_index"] is not None]
    fifths = range(1, 5)
    return Cuts(
        recency=tuple(-order_statistic([-p["recency_days"] for p in buyers], k, 5) for k in fifths),
        frequency=tuple(order_statistic([p["rfm_purchase_days"] for p in buyers], k, 5) for k in fifths),
        monetary=tuple(order_statistic([p["rfm_contribution"] for p in buyers], k, 5) for k in fifths),
        clv_decile=tuple(order_statistic(clv, k, 10) for k in range(1, 10)) if clv else None,
        value_tier=(order_statistic(clv, 5, 10), order_statistic(clv, 8, 10)) if clv else None,
        current_theta=median([p["current_value"] for p in buyers]),
        potential_theta=median(potential),
    )


def rfm_group(r: int, f: int, m: int) -> str:
    """The eight groups of the RFM cube: high is 4 or 5."""
    kind = {
        (True, True): "VALUE", (True, False): "DEVELOP", (False, True): "KEEP", (False, False): "WIN_BACK",
    }  # fmt: skip
    return ("IMPORTANT_" if m >= 4 else "ORDINARY_") + kind[r >= 4, f >= 4]


SCORED = (
    "r_score", "f_score", "m_score", "rfm_code", "rfm_group", "clv_decile", "value_tier", "quadrant",
    "is_potential",
)  # fmt: skip


def scored(person: Mapping[str, Any], cuts: Cuts) -> dict[str, Any]:
    """The columns that a customer's own row and the cuts give."""
    if not person["purchase_days_total"]:
        return dict.fromkeys(SCORED)
    r = 1 + sum(person["recency_days"] < cut for cut in cuts.recency)
    f = 1 + sum(person["rfm_purchase_days"] > cut for cut in cuts.frequency)
    m = 1 + sum(person["rfm_contribution"] > cut for cut in cuts.monetary)
    found: dict[str, Any] = {
        "r_score": r, "f_score": f, "m_score": m, "rfm_code": f"{r}{f}{m}", "rfm_group": rfm_group(r, f, m),
        "clv_decile": None, "value_tier": None, "quadrant": None, "is_potential": None,
    }  # fmt: skip
    clv, potential = person["clv_12m"], person["potential_index"]
    if clv is not None and cuts.clv_decile and cuts.value_tier:
        found["clv_decile"] = 1 + sum(clv > cut for cut in cuts.clv_decile)
        found["value_tier"] = ("LOW", "MID", "HIGH")[sum(clv > cut for cut in cuts.value_tier)]
    if potential is not None and cuts.potential_theta is not None and cuts.current_theta is not None:
        high_now = person["current_value"] >= cuts.current_theta and person["current_value"] > 0
        high_later = potential >= cuts.potential_theta and potential > 0
        found["is_potential"] = high_later
        found["quadrant"] = {
            (True, True): "BEST", (True, False): "GENERAL",
            (False, True): "SECOND_BEST", (False, False): "LOW_VALUE",
        }[high_now, high_later]  # fmt: skip
    return found


# The summary

SCHEMES = {
    "lifecycle_state": "lifecycle_status", "stage5": "lifecycle_status", "relationship5": "lifecycle_status",
    "icbc6": "lifecycle_status", "stage4": "lifecycle_status", "quadrant": "quadrant_status",
    "value_tier": "value_tier_status", "deposit_tier": "deposit_tier_status", "rfm_group": "rfm_status",
}  # fmt: skip


def summary(people: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(scheme, label) to customers, share, and exact sums with the counts of what is known."""
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for scheme, status in SCHEMES.items():
        groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for person in people:
            groups[person[scheme] if person[scheme] is not None else person[status]].append(person)
        for label, group in groups.items():
            sums: list[Any] = []
            for column in ("current_value", "clv_12m"):
                known = [p[column] for p in group if p[column] is not None]
                sums += [sum(known, Decimal(0)), len(known)]
            found[scheme, label] = (len(group), len(group) / len(people), *sums)
    return found
