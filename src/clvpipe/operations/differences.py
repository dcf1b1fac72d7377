"""What differs between two sets of named numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

Plain = str | int | float | Decimal


@dataclass(frozen=True)
class Difference:
    """A number that is not the same; None where it is not there."""

    name: str
    before: Plain | None
    after: Plain | None


def differences(before: Mapping[str, Plain], after: Mapping[str, Plain]) -> tuple[Difference, ...]:
    """Those that differ, in the order of `after`; what is only in `before` comes last."""
    names = [*after, *(name for name in before if name not in after)]
    found = (Difference(name, before.get(name), after.get(name)) for name in names)
    return tuple(one for one in found if one.before != one.after)
