"""What must hold of any run. Each check takes an outcome, and fails with the rows of a customer."""

from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Any

from clvpipe.contracts import PUBLISHED

from . import brute_force as oracle
from .harness import Outcome, Record, differences, same, story

LIFECYCLE = ("lifecycle_state", "is_existing", *oracle.LABEL_SYSTEMS)
SCORES = ("r_score", "f_score", "m_score", "rfm_code", "rfm_group")
VALUES = ("OK", "BASELINE")
RANKS = ("residual_clv_rank", "potential_index")
REFERENCE = 1000  # ranks among more customers than this come from a coarser frozen grid


def whole_bank(outcome: Outcome) -> list[Record]:
    """The rows of the summary that are not of a branch or a community."""
    return [record for record in outcome.tables["segment_summary"] if record["dimension"] == "ALL"]


def customers_in_are_customers_out(outcome: Outcome) -> None:
    """Everyone seen up to as_of, once, and in every scheme of the summary."""
    names = [record["customer_id"] for record in outcome.tables["customer_segments"]]
    assert len(names) == len(set(names))
    assert set(names) == set(outcome.days)
    totals: Counter[str] = Counter()
    for record in whole_bank(outcome):
        totals[record["scheme"]] += record["customers"]
    assert totals == dict.fromkeys(oracle.SCHEMES, len(names))


def own_columns(outcome: Outcome) -> None:
    """History, (x, t_x, T, m), current value, gaps, tests, states, labels: of a customer's own rows."""
    facts = outcome.facts
    for name in outcome.days:
        found = differences(outcome.own(name), outcome.published[name])
        if oracle.on_the_edge(facts[name], outcome.terms):
            found = {column: pair for column, pair in found.items() if column not in LIFECYCLE}
        assert not found, f"{found}\n{story(outcome, name)}"


def states(outcome: Outcome) -> None:
    """Exactly one state: the first of the rules that a customer meets on their own; labels follow."""
    for name, facts in outcome.facts.items():
        if oracle.on_the_edge(facts, outcome.terms):
            continue
        record = outcome.published[name]
        met = oracle.rules_met(facts, outcome.terms)
        assert met, name
        assert record["lifecycle_state"] == met[0], f"{met}\n{story(outcome, name)}"
        assert not differences(dict(oracle.labels_of(met[0], facts)), record), story(outcome, name)


def cuts(outcome: Outcome) -> None:
    """The frozen cuts are the order statistics of the population that they were made on."""
    expected, found = oracle.cuts_of(list(outcome.people.values())), outcome.cuts
    for name in ("recency", "frequency", "monetary", "clv_decile", "value_tier"):
        assert getattr(found, name) == getattr(expected, name), name


def thetas(outcome: Outcome) -> None:
    """The thresholds of the quadrants are medians: exact in money, the index cut off after eight decimals."""
    expected, found = oracle.cuts_of(list(outcome.people.values())), outcome.cuts
    assert found.current_theta == expected.current_theta
    assert (found.potential_theta is None) == (expected.potential_theta is None)
    if found.potential_theta is not None and expected.potential_theta is not None:
        assert -1e-8 < float(found.potential_theta) - float(expected.potential_theta) <= 1e-12


def scores_and_axes(outcome: Outcome) -> None:
    """RFM, decile, tier and quadrant are functions of the row and the published cuts."""
    for name, person in outcome.people.items():
        found = differences(oracle.scored(person, outcome.cuts), outcome.published[name])
        assert not found, f"{found} with {outcome.cuts}\n{story(outcome, name)}"


def derived_values(outcome: Outcome) -> None:
    """Transactions alone: contribution is the current value, CLV the future value, one rank the potential."""
    clv = [r["clv_12m"] for r in outcome.published.values() if r["clv_12m"] is not None]
    below = dict(zip(sorted(clv), range(len(clv)), strict=True))  # the last place of each value
    ties = Counter(clv)
    for name, record in outcome.published.items():
        rank = None
        if record["clv_12m"] is not None:
            tied = ties[record["clv_12m"]]
            rank = (below[record["clv_12m"]] + 1 - tied / 2) / len(clv)
        expected = {
            "residual_clv_rank": rank,
            "potential_index": rank,
            "potential_basis": None if rank is None else "RESIDUAL_CLV",
            "current_value_basis": "CONTRIBUTION" if record["purchase_days_total"] else None,
            "future_value_12m": record["clv_12m"],
            "payback_reached": None,
            "payback_reason": "NO_COSTS",
        }
        found = differences(expected, record)
        if rank is not None and len(clv) > REFERENCE and record["residual_clv_rank"] is not None:
            assert abs(record["residual_clv_rank"] - rank) < 2 / REFERENCE, name
            assert record["potential_index"] == record["residual_clv_rank"], name
            found = {c: pair for c, pair in found.items() if c not in RANKS}
        assert not found, f"{name}: {found}"


def ties(outcome: Outcome) -> None:
    """Equal customers have equal scores, better ones no worse ones."""
    buyers = [r for r in outcome.published.values() if r["purchase_days_total"]]
    for score, value, sign in (
        ("r_score", "recency_days", -1),
        ("f_score", "rfm_purchase_days", 1),
        ("m_score", "rfm_contribution", 1),
        ("clv_decile", "clv_12m", 1),
        ("residual_clv_rank", "clv_12m", 1),
    ):
        by_value: dict[Any, set[Any]] = defaultdict(set)
        for record in buyers:
            if record[score] is not None:
                by_value[sign * record[value]].add(record[score])
        assert all(len(found) == 1 for found in by_value.values()), score
        ordered = [found.pop() for _, found in sorted(by_value.items())]
        assert ordered == sorted(ordered), score
    alike: dict[Any, list[Record]] = defaultdict(list)
    for name, days in outcome.days.items():
        fees = outcome.fees.get(name, Fraction(0))
        alike[fees, *sorted(days.items())].append({**outcome.published[name], "customer_id": ""})
    for group in alike.values():
        assert all(record == group[0] for record in group)


NOBODY = {"NO_PURCHASE", "NO_RELATIONSHIP"}
# What transactions alone cannot tell of anybody.
NO_EXTRACT = {"NO_HOLDINGS", "NO_BALANCES", "NO_COSTS", "NO_CUSTOMER_DATA", "NO_CONSENT_DATA"}


def prospects(outcome: Outcome) -> None:
    """Ids without a purchase: nothing known of a relationship, and said so."""
    for name, days in outcome.days.items():
        record = outcome.published[name]
        statuses = [c for c in record if c.endswith("_status") and c != "lifecycle_status"]
        reasons = {record[c.removesuffix("_status") + "_reason"] for c in statuses}
        if days:
            assert not reasons & NOBODY, story(outcome, name)
            continue
        assert {record[c] for c in statuses} == {"NOT_AVAILABLE"}, story(outcome, name)
        assert reasons <= NOBODY | NO_EXTRACT, story(outcome, name)
        assert record["lifecycle_status"] == "OK"


def statuses(outcome: Outcome) -> None:
    """A NULL stands only beside a status that explains it; codes are known; numbers finite, in bounds."""
    codes: dict[str, set[str]] = defaultdict(set)
    for code in outcome.tables["codes"]:
        codes[code["scheme"]].add(code["code"])
    for record in outcome.published.values():
        for column in PUBLISHED["customer_segments"].columns:
            value = record[column.name]
            where = f"{record['customer_id']}: {column.name} is {value}"
            if value is None:
                assert column.optional or record.get(column.status) not in (None, *VALUES), where
                continue
            assert not column.status or record[column.status] in VALUES, where
            assert not isinstance(value, float) or isfinite(value), where
            if column.scheme:
                assert value in codes[column.scheme], where
            if column.bounds:
                assert column.bounds[0] <= value <= column.bounds[1], where
        for name in record:
            if name.endswith("_status"):
                reason = record[name.removesuffix("_status") + "_reason"]
                assert (reason is None) == (record[name] == "OK"), f"{record['customer_id']}: {name}"


def summary(outcome: Outcome) -> None:
    """Counts and sums are those of the detail, to the cent, with no group too many or too few."""
    expected = oracle.summary(list(outcome.published.values()))
    found = {
        (r["scheme"], r["label"]): (
            r["customers"], r["customer_share"], r["current_value"], r["current_value_known"],
            r["clv_12m"], r["clv_12m_known"],
        )
        for r in whole_bank(outcome)
    }  # fmt: skip
    assert set(found) == set(expected)
    assert len(found) == len(whole_bank(outcome))
    for key, numbers in expected.items():
        for wanted, given in zip(numbers, found[key], strict=True):
            # A sum of nothing known is no number, or zero; the count beside it says which.
            assert same(wanted, given) or (wanted == Decimal(0) and given is None and 0 in numbers), key
    for column in ("current_value", "clv_12m"):
        known = [r[column] for r in outcome.published.values() if r[column] is not None]
        for scheme in oracle.SCHEMES:
            parts = [r[column] for r in whole_bank(outcome) if r["scheme"] == scheme]
            assert sum((p for p in parts if p is not None), Decimal(0)) == sum(known, Decimal(0)), scheme


CHECKS = (
    customers_in_are_customers_out,
    own_columns,
    states,
    cuts,
    scores_and_axes,
    derived_values,
    ties,
    prospects,
    statuses,
    summary,
)
