"""Sums over 0 <= j < x that replace differences of gamma functions when x is a count."""

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln

from clvpipe.models.arrays import FloatArray

# No customer has bought on this many days; beyond it a table would cost memory for nothing.
_LARGEST_TABLE = 1 << 20


def prefix_sums(terms: FloatArray) -> FloatArray:
    """Return ``S[x] = sum(terms[j] for j < x)`` for x = 0..len(terms).

    The additions run in order, so an entry does not depend on how long the table is.
    """
    sums = np.zeros(terms.size + 1)
    np.cumsum(terms, out=sums[1:])
    return sums


def _tabulated(
    x: FloatArray, term: Callable[[FloatArray], FloatArray], closed_form: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    small = (x <= _LARGEST_TABLE) & (x == np.floor(x))
    length = int(np.max(x, where=small, initial=0.0))
    table = prefix_sums(term(np.arange(length, dtype=np.float64)))
    result = table[np.where(small, x, 0.0).astype(np.intp)]
    if not small.all():
        result[~small] = closed_form(x[~small])
    return result


def log_rising(r: float, x: FloatArray) -> FloatArray:
    """Return ln Γ(r+x) − ln Γ(r) = Σ_{j<x} ln(r+j).

    The difference of two log gammas loses every digit that ln Γ(r) has before the point (eight at
    r = 1e7); the sum loses none.
    """
    return _tabulated(x, lambda j: np.log(r + j), lambda v: gammaln(r + v) - gammaln(r))


def log_beta_ratio(a: float, b: float, x: FloatArray) -> FloatArray:
    """Return ln B(a, b+x) − ln B(a, b) = −Σ_{j<x} ln(1 + a/(b+j)): P(no dropout at x purchases), in logs."""
    return _tabulated(
        x,
        lambda j: -np.log1p(a / (b + j)),
        lambda v: gammaln(b + v) - gammaln(a + b + v) - (gammaln(b) - gammaln(a + b)),
    )
