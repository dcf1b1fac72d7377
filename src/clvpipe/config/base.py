"""What every section of a configuration is made of: frozen models, thresholds, names, units."""

from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clvpipe.contracts.extracts import LARGEST_AMOUNT

T = TypeVar("T")
_FORBIDDEN = "\"'`;\\"


class Frozen(BaseModel):
    """Immutable, and refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class Threshold(Frozen, Generic[T]):
    """A number that makes a label, with where it comes from."""

    value: T
    provenance: str = Field(min_length=1)


def unit_of(setting: str) -> str:
    """The unit of the number that a setting of this name holds, as the dataset `thresholds` has it.

    Raises:
        ValueError: Its name says none.
    """
    endings = {
        "days": ("_days",),
        "months": ("_months",),
        "share": ("_share", "_shares", "_fall"),
        "ratio": ("_ratio", "_multiple", "_variation", "_correlation", "_rate", "_rise"),
        "probability": ("significance",),
        "money": ("_balance", "_amount", "bounds", "bands"),
        "count": (
            "_observations", "_customers", "_repeaters", "_gaps", "_holdings", "_closures", "_purchases",
            "_expected", "_products", "_cell",
        ),
    }  # fmt: skip
    unit = next((unit for unit, ends in endings.items() if setting.endswith(ends)), None)
    if unit is None:
        raise ValueError(f"the name of the setting {setting!r} says no unit")
    return unit


Days = Threshold[Annotated[int, Field(ge=1, le=36_500)]]
Count = Threshold[Annotated[int, Field(ge=1)]]
Ratio = Threshold[Annotated[Decimal, Field(gt=0, le=100)]]
ProperShare = Annotated[Decimal, Field(gt=0, lt=1)]
Share = Threshold[ProperShare]
Money = Annotated[Decimal, Field(ge=0, le=LARGEST_AMOUNT, decimal_places=2)]


def _checked_name(value: str) -> str:
    if (
        not value
        or len(value) > 128
        or any(ord(character) < 32 or character in _FORBIDDEN for character in value)
    ):
        raise ValueError(f"a name is 1 to 128 characters without control characters or any of {_FORBIDDEN}")
    return value


# Names of columns and types come from a bank's own files; what could end a quotation is in none of them.
Name = Annotated[str, AfterValidator(_checked_name)]
