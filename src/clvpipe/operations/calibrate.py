"""The calibration made anew at once, instead of when its period is over. Nothing is published."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clvpipe.calibration import Calibration, current, standing
from clvpipe.operations.differences import Difference, Plain, differences
from clvpipe.stages.context import Watch
from clvpipe.stages.session import Request, open_run, run_stage

STAGES = ("ingest", "features", "fit")

# What a calibration says of itself, beside its numbers.
_ABOUT = {"as_of", "known_at", "knew_until", "code_version", "config_digest"}
# Cuts and weights are shorter; a frozen distribution has hundreds of numbers, and is told by its digest.
_LONGEST_LIST = 20


@dataclass(frozen=True)
class Calibrated:
    """What was frozen.

    Attributes:
        identity: The calibration that stands now.
        before: The one that stood before for that day; None: there was none.
        frozen: Its numbers, by name.
        changes: Those that are not what they were.
    """

    identity: str
    before: str | None
    frozen: dict[str, Plain]
    changes: tuple[Difference, ...]


def calibrate(request: Request, watch: Watch) -> Calibrated:
    """Fit anew on what has been delivered by now, and keep the calibration for the runs to come.

    Args:
        request: As for a run; its stages do not matter.
        watch: Who looks on.

    Raises:
        ClvpipeError: Whatever a stage raises; the calibrations are as they were.
    """
    request = replace(request, stages=STAGES, refit=True, tidies=True)
    with open_run(request, watch) as context:
        run_stage(context, "ingest")
        run_stage(context, "features")
        known = (context.layout, context.settings, context.day, context.known_at)
        before = current(*known)
        run_stage(context, "fit")
        after = standing(*known)
    frozen = frozen_numbers(after)
    return Calibrated(
        after.identity,
        before.identity if before else None,
        frozen,
        differences(frozen_numbers(before) if before else {}, frozen),
    )


def frozen_numbers(calibration: Calibration) -> dict[str, Plain]:
    """Every number of a calibration by a name such as `purchases.estimates.r` or `recency_cuts.1`."""
    return dict(_flat("", calibration.model_dump(exclude=_ABOUT)))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Plain]]:
    match value:
        case None:
            return
        case {"name": own, "value": number}:
            # A parameter stands for its value: its error and its note go with it.
            yield from _flat(f"{name.rpartition('.')[0]}.{own}", number)
        case {"product_type": product, **parts}:
            # A curve goes by its product; its steps are too many to look at.
            for key, part in parts.items():
                own = f"{name.rpartition('.')[0]}.{product or 'ALL'}.{key}"
                yield from _flat(own, _digest(part) if isinstance(part, list | tuple) else part)
        case Mapping():
            for key, part in value.items():
                yield from _flat(f"{name}.{key}" if name else key, part)
        case list() | tuple() if len(value) > _LONGEST_LIST and not isinstance(value[0], Mapping):
            yield name, _digest(value)
        case list() | tuple():
            for place, part in enumerate(value, 1):
                yield from _flat(f"{name}.{place}", part)
        case _:
            yield name, value


def _digest(numbers: Sequence[Any]) -> str:
    return f"{len(numbers)} numbers, {hashlib.sha256(repr(numbers).encode()).hexdigest()[:12]}"
