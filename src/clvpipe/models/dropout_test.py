"""Is there dropout at all? A likelihood ratio calibrated by simulation, because theory does not apply.

Without dropout (a = 0) b means nothing and a sits on its boundary, so twice the gain in ln L is not
chi-squared (Davies, Biometrika 1987, for the general case).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from clvpipe.models.arrays import FloatArray
from clvpipe.models.likelihood import Dropout, evaluate
from clvpipe.models.nbd import Nbd
from clvpipe.models.observations import Observations
from clvpipe.models.optimise import Optimum, best_of, climb
from clvpipe.models.patterns import PurchasePatterns
from clvpipe.models.purchase_optima import (
    BETA_DROPOUT,
    COMMON_DROPOUT,
    NO_DROPOUT,
    beta_from_common,
)
from clvpipe.models.simulate import resampled_ages, simulate_nbd

NEGLIGIBLE_RATIO = 1e-3
OVERWHELMING_RATIO = 30.0
SIGNIFICANCE = 0.05
_REPLICATES = 199
_CUSTOMERS = 5_000
# Of ln L: a hundredth of the least statistic tested. At the boundary the last digits take the longest.
_ENOUGH = 1e-5

Decision = Literal["NEGLIGIBLE", "OVERWHELMING", "BOOTSTRAP"]


@dataclass(frozen=True)
class DropoutTest:
    """Outcome of the test of NBD against dropout.

    Attributes
    ----------
    statistic : float
        2 (ln L with dropout − ln L of NBD).
    decided_by : str
        NEGLIGIBLE or OVERWHELMING where the statistic speaks for itself, else BOOTSTRAP.
    replicates, exceedances : int
        Simulated data sets, and how many had a statistic at least as large; 0 without bootstrap.
    p_value : float or None
        (exceedances + 1) / (replicates + 1); None without bootstrap.
    """

    statistic: float
    decided_by: Decision
    replicates: int
    exceedances: int
    p_value: float | None

    @property
    def dropout_found(self) -> bool:
        """Whether the data call for dropout."""
        if self.p_value is None:
            return self.decided_by == "OVERWHELMING"
        return self.p_value < SIGNIFICANCE


def _ratio_of_replicate(patterns: PurchasePatterns, log_r: float, log_alpha_days: float) -> float:
    observations = Observations.of(patterns)
    n = float(patterns.n_customers)

    def newton(dropout: Dropout, start: FloatArray) -> Optimum:
        return climb(lambda c: evaluate(observations, dropout, c), start, n, _ENOUGH)

    none = newton(NO_DROPOUT, np.array([log_r, log_alpha_days - np.log(observations.unit_days)]))
    common = newton(COMMON_DROPOUT, np.append(none.coordinates, -4.0))
    beta = best_of([newton(BETA_DROPOUT, s) for s in beta_from_common(common.coordinates, (0.5, 10.0))])
    return max(0.0, 2.0 * (max(common.value, beta.value) - none.value))


def check_dropout(statistic: float, null: Nbd, patterns: PurchasePatterns, seed: int) -> DropoutTest:
    """Judge the statistic against NBD data simulated at the fitted NBD parameters.

    The statistic's law under the null does not depend on the number of customers once that is large, so at
    most 5,000 are simulated, with ages drawn from the patterns. It stops as soon as p can no longer come out
    below 5 % (Besag & Clifford, Biometrika 1991): most data without dropout need a few dozen replicates.
    """
    if statistic <= NEGLIGIBLE_RATIO:
        return DropoutTest(statistic, "NEGLIGIBLE", 0, 0, None)
    if statistic > OVERWHELMING_RATIO:
        return DropoutTest(statistic, "OVERWHELMING", 0, 0, None)
    enough = int(np.ceil(SIGNIFICANCE * (_REPLICATES + 1))) - 1
    size = min(_CUSTOMERS, patterns.n_customers)
    seeds = np.random.SeedSequence(seed).generate_state(2 * _REPLICATES)
    exceedances = replicates = 0
    while replicates < _REPLICATES and exceedances < enough:
        ages = resampled_ages(patterns.t_days, patterns.customers, size, int(seeds[2 * replicates]))
        x, t_x, T = simulate_nbd(null.r, null.alpha, ages, int(seeds[2 * replicates + 1]))
        replicates += 1
        if x.any():
            drawn = PurchasePatterns.from_customers(x, t_x, T)
            ratio = _ratio_of_replicate(drawn, float(np.log(null.r)), float(np.log(null.alpha)))
            exceedances += ratio >= statistic
    return DropoutTest(statistic, "BOOTSTRAP", replicates, exceedances, (exceedances + 1) / (replicates + 1))
