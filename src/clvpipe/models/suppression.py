"""Which cells of a breakdown to hold back, so that no small count can be worked out from what is published.

Complementary cell suppression (Willenborg & de Waal, "Elements of Statistical Disclosure Control", 2001).
A table of members (branches, say) by labels is published beside the totals of its labels, and so are the
tables of other label systems of the same customers. Whoever reads them can add, subtract and knows how the
systems hang together, so a small cell alone is no secret: others must go with it.

Which others is not looked for in the tables but among the customers. Let one customer of member i and one of
member j change places. All totals stay, every relation between label systems holds as before, and the only
cells that change, in both members, are those of labels in which the two differ. If all of these are held
back, the bank after the exchange looks the same as the bank before, and none of them can be worked out. So
each cell that is held back has a pair of customers behind it, the pair for which the fewest other customers
are held back with it. This needs no list of the relations, and holds for those that nobody thought of.
A member with too few customers altogether is held back whole, with at least one other: there one customer
alone can move to the other.

Two things follow. A cell that is held back may hold nobody: the other customer's label may be new to the
member. And what is held back cannot be worked out, which is not to say that it cannot be narrowed down.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clvpipe.models.arrays import BoolArray, IntArray

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Profiles:
    """Customers who look alike: the same label in every system, and the same values known.

    Attributes
    ----------
    labels : ndarray of int, shape (n_profiles, n_schemes)
        The label in each system, numbered from 0 without gaps over all systems together.
    known : ndarray of bool, shape (n_profiles, n_values)
        Which values of such a customer are known, and so go into the sums that stand beside the count.
    """

    labels: IntArray
    known: BoolArray


@dataclass(frozen=True)
class _Bank:
    """What does not change while cells are chosen.

    Attributes
    ----------
    counts : sparse array, shape (n_members, n_profiles)
        Customers.
    labels : ndarray, shape (n_profiles, n_schemes)
        As in `Profiles`.
    kinds : ndarray, shape (n_profiles,)
        Equal numbers: the same values are known.
    cells : ndarray, shape (n_members, n_labels, 1 + n_values)
        Customers of a cell, then those among them whose values are known.
    totals : ndarray, shape (n_members,)
        Customers.
    """

    counts: csr_array
    labels: IntArray
    kinds: IntArray
    cells: IntArray
    totals: IntArray

    def profiles_of(self, member: int) -> Index:
        """The profiles that the member has, ascending."""
        found: Index = np.sort(self.counts.indices[slice(*self.counts.indptr[member : member + 2])])
        return found


@dataclass(frozen=True)
class _Decisions:
    """Cells held back, and among them those that an exchange or a move changes; (n_members, n_labels)."""

    suppressed: BoolArray
    covered: BoolArray

    def hold_whole(self, members: Index | list[int]) -> None:
        """Hold back all of some members; a customer may then move between any two of them."""
        self.suppressed[members] = True
        self.covered[members] = True


def suppressed_cells(
    members: IntArray, profiles: IntArray, customers: IntArray, described: Profiles, minimum: int
) -> BoolArray:
    """The cells (member x label) to be held back. The order of the rows does not matter.

    A cell is held back if its customers, or those of them whose value is known, are 1 to ``minimum`` - 1;
    then others, until together they are at least ``minimum`` in each label that allows it, and until each
    is safe as the module says. Ties go to the lower number.

    Parameters
    ----------
    members, profiles : array of int, shape (n,)
        From 0 without gaps; each member has a customer.
    customers : array of int, shape (n,)
        At least one each; rows of the same member and profile add up.
    described : Profiles
        What the profiles are.
    minimum : int
        The least number of customers that may be published of a cell, at least 2.

    Returns
    -------
    ndarray of bool, shape (n_members, n_labels)
        True: held back.

    Raises
    ------
    ValueError
        If there are fewer than two members (the breakdown is then the total), or `minimum` is below 2.
    """
    if minimum < 2:
        raise ValueError("a cell of one customer is always small: the minimum is at least 2")
    bank = _bank(members, profiles, customers, described)
    if len(bank.totals) < 2:
        raise ValueError("with one member there is nothing that a cell could hide behind")
    small: BoolArray = np.any((bank.cells > 0) & (bank.cells < minimum), axis=2)
    decisions = _Decisions(small, np.zeros_like(small))
    whole = _held_whole(bank.totals, minimum)
    decisions.hold_whole(whole)
    _fill_remainders(bank.cells, decisions.suppressed, minimum)
    for one, other in _partners(bank.totals, decisions.suppressed, whole):
        _cover(bank, decisions, one, other)
    return decisions.suppressed


def _bank(members: IntArray, profiles: IntArray, customers: IntArray, described: Profiles) -> _Bank:
    n_profiles, n_schemes = described.labels.shape
    shape = (int(members.max()) + 1, n_profiles)
    counts = csr_array((customers, (members, profiles)), shape=shape)
    counts.sum_duplicates()
    places = (np.repeat(np.arange(n_profiles), n_schemes), described.labels.ravel())
    has = csr_array((np.ones(described.labels.size, dtype=np.int64), places))
    weights = np.column_stack([np.ones(n_profiles, dtype=np.int64), described.known.astype(np.int64)])
    cells = [(counts @ has.multiply(weight[:, None]).tocsr()).toarray() for weight in weights.T]
    kinds = described.known.astype(np.int64) @ (1 << np.arange(described.known.shape[1], dtype=np.int64))
    return _Bank(counts, described.labels, kinds, np.stack(cells, axis=2), np.asarray(counts.sum(axis=1)))


def _held_whole(totals: IntArray, minimum: int) -> Index:
    """Members that are too small themselves, with the next ones up to two members and the minimum."""
    order = np.argsort(totals, kind="stable")
    small = int((totals < minimum).sum())
    if not small:
        return order[:0]
    enough = int(np.searchsorted(np.cumsum(totals[order]), minimum)) + 1
    return order[: max(small, enough, 2)]


def _fill_remainders(cells: IntArray, suppressed: BoolArray, minimum: int) -> None:
    """What is held back of a label is published as one sum, which must not be small itself.

    One more cell is enough: those that are left hold none, or at least the minimum.
    """
    for values in np.moveaxis(cells, 2, 0):
        sums = np.where(suppressed, values, 0).sum(axis=0)
        for label in np.flatnonzero((sums > 0) & (sums < minimum)):
            left = np.flatnonzero(~suppressed[:, label] & (values[:, label] > 0))
            if len(left):
                suppressed[left[np.argmin(values[left, label])], label] = True


def _partners(totals: IntArray, suppressed: BoolArray, whole: Index) -> list[tuple[int, int]]:
    """Members with something to hide, two and two by size, for those alike in size hide alike.

    One that is left over goes with the one before, else with the smallest that has nothing to hide yet, else
    with one that is held back whole.
    """
    order = np.argsort(totals, kind="stable")
    order = order[~np.isin(order, whole)]
    affected = [int(member) for member in order if suppressed[member].any()]
    pairs = list(zip(affected[::2], affected[1::2], strict=False))
    if len(affected) % 2:
        others = affected[:-1] or [int(m) for m in order if m != affected[0]] or [int(m) for m in whole]
        pairs.append((affected[-1], others[-1] if len(affected) > 1 else others[0]))
    return pairs


def _cover(bank: _Bank, decisions: _Decisions, one: int, other: int) -> None:
    """Find an exchange between two members for each of their cells.

    Without one (all customers of both have the label, and few a value) both are held back whole.
    """
    pair = [one, other]
    holds_somebody = bank.cells[pair, :, 0] > 0
    while True:
        bare = (decisions.suppressed[pair] & ~decisions.covered[pair] & holds_somebody).any(axis=0)
        if not bare.any():
            return
        labels = _cheapest_exchange(bank, decisions.suppressed, pair, int(np.argmax(bare)))
        if labels is None:
            decisions.hold_whole(pair)
            return
        for member in pair:
            decisions.suppressed[member, labels] = True
            decisions.covered[member, labels] = True


def _cheapest_exchange(bank: _Bank, suppressed: BoolArray, pair: list[int], label: int) -> IntArray | None:
    """Two customers, one of each member, of whom just one has the label; None: there is nobody.

    Returns
    -------
    ndarray of int, shape (n,)
        The labels whose cells must be held back, in both members.
    """
    scheme = int(np.argmax((bank.labels == label).any(axis=0)))
    first, second = (bank.profiles_of(member) for member in pair)
    sides = []
    for giver, taker in ((first, second), (second, first)):
        with_label = giver[bank.labels[giver, scheme] == label]
        without = taker[bank.labels[taker, scheme] != label]
        if len(with_label) and len(without):
            sides.append((with_label, without))
    if not sides:
        return None
    with_label, without = min(sides, key=lambda side: len(side[0]) * len(side[1]))
    given, taken = bank.labels[with_label][:, None], bank.labels[without][None]
    differs = given != taken
    # If other values are known of them, a cell shows that also where both have its label. Then all labels of
    # both go, and either could as well just move.
    goes = differs | (bank.kinds[with_label][:, None] != bank.kinds[without])[:, :, None]
    price = np.where(suppressed[pair], 0, 1 + bank.cells[pair, :, 0]).sum(axis=0)
    cost = (goes * price[given] + differs * price[taken]).sum(axis=2)
    one, another = np.unravel_index(int(np.argmin(cost)), cost.shape)
    going = goes[one, another]
    return np.concatenate([bank.labels[with_label[one], going], bank.labels[without[another], going]])
