"""Deposit tiers with the memory of banks' published rules, replayed month by month for all customers at once.

Tiers are 0 (ordinary) to 3 (diamond). The *raw* tier of a month is what its average balance alone would
earn; the tier *in force* in a month is what the customer has in it. The machine, for one customer:

1.  Start. Before the first month everybody is ordinary, with nothing missed.
2.  Upgrade. With ``upgrade_lag_months`` L = 0 the tier in force in a month is at least its own raw tier: up
    at once. With L ≥ 1 the raw tiers of the L months before must all be above the tier that would stand
    otherwise: it then rises to the least of them. So L = 1 is "up in the month after the one that qualified",
    whatever that next month's own balance will be, and by several levels if they are earned.
3.  Miss. A month is missed if its raw tier is below the tier in force in it. ``months_below`` counts the
    missed months in a row, this one included; a month that is not missed sets it to 0.
4.  Watch. A month is on watch if ``months_below`` ≥ ``watch_after``. Watch ends with the first month that is
    not missed, or with the downgrade (then a miss of the lower tier starts a new count).
5.  Downgrade. A month is judged when it is over: the tier falls in the month after the one in which
    ``months_below`` reached ``downgrade_after`` of the tier in force, to the raw tier of that last missed
    month (``last``) or to the highest raw tier of the missed months (``max_in_window``). Both are below the
    old tier, if need be by several levels. The count starts again at 0, against the new tier: misses are not
    carried over, even if the same months were below the new tier as well.
6.  Too late. The downgrade happens before the new month's own balance. If that month qualifies again, it
    still has the lower tier with L = 1, and the tier rises in the month after; with L = 0 the tier rises
    again at once, so that no month shows the downgrade.
7.  An upgrade needs no rule for the count: the month that earned it was above the tier and has set it to 0.
    With L = 1 the month in which the tier rises is the first that can be a miss of the new tier.

``next_tier`` is the tier that stands on the first day of the following month: what the completed months alone
make of it. With L ≥ 1 it is that month's tier; with L = 0 that month's own balance may still raise it.

Sources. China Bohai Bank's published rule (cbhb.com.cn, 个人客户分级标准) has steps 2 to 5 with L = 1:
up in the month after the one whose average reached the level; on watch in a month whose average is below it;
after 3 such months in a row (private banking 6), in the 4th (7th), down to the level of the 3rd (6th) month's
average. ICBC's of May 2021: down if below in each of 6 consecutive months.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvpipe.models.arrays import BoolArray, IntArray

TIERS = 4

DowngradeTo = Literal["last", "max_in_window"]


@dataclass(frozen=True)
class TierRules:
    """Parameters of the machine.

    Attributes
    ----------
    upgrade_lag_months : int
        Months that must qualify before the tier rises in the next; 0: it rises in the month that qualifies.
    watch_after : int or None
        Missed months in a row from which on a month is on watch; None: never.
    downgrade_after : tuple of 4 int
        By tier in force: missed months in a row after which the tier falls, 1 or more. That of tier 0 is not
        used: it cannot be missed.
    downgrade_to : {'last', 'max_in_window'}
        The raw tier of the last missed month, or the highest of all of them.
    """

    upgrade_lag_months: int
    watch_after: int | None
    downgrade_after: tuple[int, int, int, int]
    downgrade_to: DowngradeTo

    def __post_init__(self) -> None:
        """Refuse what the machine has no meaning for."""
        if self.upgrade_lag_months < 0:
            raise ValueError("upgrade_lag_months cannot be negative")
        if self.watch_after is not None and self.watch_after < 1:
            raise ValueError("watch_after must be 1 or more, or None")
        if len(self.downgrade_after) != TIERS or min(self.downgrade_after) < 1:
            raise ValueError("downgrade_after must be four numbers of months, 1 or more")
        if self.downgrade_to not in ("last", "max_in_window"):
            raise ValueError(f"unknown downgrade_to {self.downgrade_to!r}")


@dataclass(frozen=True)
class TierStates:
    """One entry a customer, or one a month: `replay_tiers` and `tier_history`.

    Attributes
    ----------
    tier : ndarray[int64]
        In force in the month, 0 to 3.
    watch : ndarray[bool]
        On watch in the month, this month's own miss included.
    months_below : ndarray[int64]
        Missed months in a row, this month included.
    next_tier : ndarray[int64]
        In force on the first day of the month after.
    """

    tier: IntArray
    watch: BoolArray
    months_below: IntArray
    next_tier: IntArray


@dataclass(frozen=True)
class _Month:
    """The state of the first n customers (longest histories first) in the k-th month of each."""

    n: int
    tier: NDArray[np.int8]
    months_below: NDArray[np.int32]
    next_tier: NDArray[np.int8]


def replay_tiers(raw: ArrayLike, starts: ArrayLike, rules: TierRules) -> TierStates:
    """The state of each customer in the last of its months. See the module for the machine.

    Parameters
    ----------
    raw : array_like of int, shape (m,)
        Raw tiers 0 to 3, by customer and month; the months of a customer are consecutive.
    starts : array_like of int, shape (n,)
        Where each customer's months begin in ``raw``: 0 first, increasing. Everybody has at least one month.
    rules : TierRules
        Parameters.

    Returns
    -------
    TierStates
        Arrays of shape (n,). A function of the customer's own months alone.

    Raises
    ------
    ValueError
        If a raw tier is not 0 to 3, or ``starts`` does not divide ``raw`` as described.
    """
    histories, first, order, lengths = _prepared(raw, starts)
    tier, below, following = (np.zeros(first.size, dtype=np.int64) for _ in range(3))
    for month in _months(histories, first, lengths, rules):
        # Later months overwrite earlier ones; who has no later month is beyond n.
        tier[: month.n], below[: month.n] = month.tier, month.months_below
        following[: month.n] = month.next_tier
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return _states(tier[back], below[back], following[back], rules)


def tier_history(raw: ArrayLike, starts: ArrayLike, rules: TierRules) -> TierStates:
    """The state in every month: arrays of shape (m,), in the order of ``raw``. See `replay_tiers`."""
    histories, first, _, lengths = _prepared(raw, starts)
    tier, below, following = (np.zeros(histories.size, dtype=np.int64) for _ in range(3))
    for k, month in enumerate(_months(histories, first, lengths, rules)):
        place = first[: month.n] + k
        tier[place], below[place], following[place] = month.tier, month.months_below, month.next_tier
    return _states(tier, below, following, rules)


def _states(tier: IntArray, below: IntArray, following: IntArray, rules: TierRules) -> TierStates:
    watch = np.zeros(below.shape, dtype=np.bool_) if rules.watch_after is None else below >= rules.watch_after
    return TierStates(tier, watch, below, following)


def _prepared(
    raw: ArrayLike, starts: ArrayLike
) -> tuple[NDArray[np.int8], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Checked histories; starts, original places and lengths of customers, longest history first."""
    given: NDArray[Any] = np.ravel(np.asarray(raw))
    if given.size and not (
        np.issubdtype(given.dtype, np.integer) and 0 <= given.min() <= given.max() < TIERS
    ):
        raise ValueError("raw tiers must be whole numbers from 0 to 3")
    first = np.ravel(np.asarray(starts)).astype(np.intp)
    ends = np.append(first[1:], given.size)
    lengths = ends - first if first.size else np.zeros(0, dtype=np.intp)
    if (first.size == 0 and given.size > 0) or (first.size > 0 and (first[0] != 0 or lengths.min() < 1)):
        raise ValueError("starts must begin at 0 and increase, with at least one month a customer")
    order = np.argsort(-lengths, kind="stable")
    return given.astype(np.int8), first[order], order, lengths[order]


def _months(
    raw: NDArray[np.int8], first: NDArray[np.intp], lengths: NDArray[np.intp], rules: TierRules
) -> Iterator[_Month]:
    """Step all customers through their months together; customers must come longest history first."""
    lag = rules.upgrade_lag_months
    downgrade_after = np.asarray(rules.downgrade_after, dtype=np.int32)
    standing = np.zeros(first.size, dtype=np.int8)
    below = np.zeros(first.size, dtype=np.int32)
    # The highest raw tier of the missed months in a row: they are the window when the tier falls, because
    # the count is looked at every month and a change of tier starts it anew.
    highest = np.zeros(first.size, dtype=np.int8)
    for k in range(int(lengths[0]) if lengths.size else 0):
        n = int(np.searchsorted(-lengths, -k, side="left"))
        now = raw[first[:n] + k]
        tier = np.maximum(standing[:n], now) if lag == 0 else standing[:n].copy()
        missed = now < tier
        count = np.where(missed, below[:n] + 1, 0).astype(np.int32)
        peak = np.where(missed, np.maximum(highest[:n], now), 0).astype(np.int8)
        falls = count >= downgrade_after[tier]
        following = np.where(falls, now if rules.downgrade_to == "last" else peak, tier)
        if 1 <= lag <= k + 1:
            qualified = now
            for back in range(1, lag):
                qualified = np.minimum(qualified, raw[first[:n] + (k - back)])
            following = np.maximum(following, qualified)
        standing[:n] = following
        below[:n] = np.where(falls, 0, count)
        highest[:n] = np.where(falls, 0, peak)
        yield _Month(n, tier, count, following)
