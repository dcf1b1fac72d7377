"""What every model of repeat purchases can do, and how one is rebuilt from its name and parameters."""

from collections.abc import Mapping
from typing import Protocol

from numpy.typing import ArrayLike

from clvpipe.models.arrays import FloatArray
from clvpipe.models.bgnbd import BgNbd, BgNbdCommonDropout
from clvpipe.models.nbd import Nbd


class PurchaseModel(Protocol):
    """A model of purchases until an unseen dropout, memoryless while alive.

    x, t_x and T are arrays of one shape (x in purchase days, the rest in days); a horizon is one number of
    days. For such models, what is to be expected of a *living* customer depends on x and T alone, and t_x
    matters only through P(alive): `expected_purchases_if_alive` exposes that factor because a million
    customers have far fewer distinct (x, T) than histories.
    """

    @property
    def name(self) -> str:
        """Name under which `model_from_parameters` finds the model."""
        ...

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters by name; rates in days."""
        ...

    @property
    def dropout_identified(self) -> bool:
        """Whether P(alive) means anything under this model."""
        ...

    def time_scale_days(self, x: FloatArray, T: FloatArray) -> FloatArray:
        """Days over which the expectation of a living customer starts to bend: about one purchase."""
        ...

    def log_likelihood(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ln L of each history."""
        ...

    def log_p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """Return ln P(alive at T), where P itself may underflow."""
        ...

    def p_alive(self, x: FloatArray, t_x: FloatArray, T: FloatArray) -> FloatArray:
        """P(alive at T)."""
        ...

    def p_active(self, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon_days: ArrayLike) -> FloatArray:
        """P(at least one purchase within the horizon)."""
        ...

    def expected_purchases_if_alive(
        self, x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """E[Y(horizon) | x, T, alive at T]."""
        ...

    def expected_purchases(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """E[Y(horizon) | x, t_x, T]."""
        ...

    def log_expected_purchases(
        self, x: FloatArray, t_x: FloatArray, T: FloatArray, horizon_days: ArrayLike
    ) -> FloatArray:
        """Return ln E[Y(horizon)], where E itself may underflow (horizon > 0)."""
        ...


def model_from_parameters(name: str, parameters: Mapping[str, float]) -> PurchaseModel:
    """Rebuild a model from a calibration record.

    Raises
    ------
    ValueError
        If the name is none of BG_NBD, BG_NBD_COMMON_DROPOUT, NBD, or the parameters are not that model's.
    """
    values = dict(parameters)
    match name, sorted(values):
        case "BG_NBD", ["a", "alpha", "b", "r"]:
            return BgNbd(**values)
        case "BG_NBD_COMMON_DROPOUT", ["alpha", "p", "r"]:
            return BgNbdCommonDropout(**values)
        case "NBD", ["alpha", "r"]:
            return Nbd(**values)
    raise ValueError(f"no purchase model {name!r} with the parameters {sorted(values)}")
