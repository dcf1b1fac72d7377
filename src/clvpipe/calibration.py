"""The calibration artefact: everything that must not move nightly, frozen in one JSON file.

With it every score and label is a function of the customer's own row.
"""

import hashlib
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from clvpipe import __version__
from clvpipe.config import Settings
from clvpipe.errors import ConfigError, ModelGateError
from clvpipe.publish import Layout
from clvpipe.publish.files import make_durable

# A calibration stands on the definitions that shape its numbers; when one of these changes, it is made anew.
SECTIONS = (
    "currency", "timezone", "purchases", "products", "balances", "rfm", "clv", "annuity", "potential",
    "quadrants", "value_tier",
)  # fmt: skip

FitStatus = Literal["OK", "BASELINE", "INSUFFICIENT_DATA"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(_Frozen):
    """A parameter with its error; no error where it stands at a boundary."""

    name: str
    value: float
    standard_error: float | None
    ci_low_95: float | None
    ci_high_95: float | None


class Fact(_Frozen):
    """One number about a fit: of its verdict, its data, its baseline or its cross-check."""

    name: str
    kind: Literal["VERDICT", "DATA", "BASELINE", "CROSSCHECK"]
    value: float | None
    note: str


class FrozenFit(_Frozen):
    """One model as fitted.

    Attributes:
        name: Model code; `BASELINE` where the minimum-data rules failed but a pooled mean exists.
        status: What may be said with it.
        reason: Code of the rule that failed, else None.
        estimates: Parameters.
        facts: Verdict, data and baseline numbers.
        pooled: The naive baseline (purchases a customer-day; mean contribution of a repeat day), if defined.
    """

    name: str
    status: FitStatus
    reason: str | None
    estimates: tuple[Estimate, ...]
    facts: tuple[Fact, ...]
    pooled: float | None

    @property
    def parameters(self) -> dict[str, float]:
        """Values by name."""
        return {estimate.name: estimate.value for estimate in self.estimates}


class Reference(_Frozen):
    """A frozen distribution: some of its values, and the shares of customers below each and up to each."""

    grid: tuple[float, ...]
    below: tuple[float, ...]
    up_to: tuple[float, ...]


class FrozenWeights(_Frozen):
    """How much each component counts in the potential index, in the order of `settings.COMPONENTS`; sum 1.

    Attributes:
        method: EXPERT, AHP or ENTROPY.
        weights: Shares.
        consistency_ratio: Of the pairwise judgements (AHP).
        entropies: Of the ranks, 1: says nothing (ENTROPY).
        customers: Who had all of them (ENTROPY).
    """

    method: Literal["EXPERT", "AHP", "ENTROPY"]
    weights: tuple[float, ...]
    consistency_ratio: float | None = None
    entropies: tuple[float, ...] | None = None
    customers: int | None = None


class FrozenCurve(_Frozen):
    """How long holdings of a product last: S after so many days, by Kaplan and Meier.

    Attributes:
        product_type: The product; None: all of them together.
        times_days: When S falls.
        survival: To what.
        standard_error: Greenwood's.
        holdings: How many were looked at.
        closures: How many of them ended.
    """

    product_type: str | None
    times_days: tuple[int, ...]
    survival: tuple[float, ...]
    standard_error: tuple[float, ...]
    holdings: int
    closures: int


class Calibration(_Frozen):
    """Frozen parameters, cuts, thresholds and reference distributions. Money as decimals.

    Attributes:
        as_of: Its day.
        known_at: Bound on the deliveries that it was to see.
        knew_until: The latest delivery that it did see; None where deliveries have no dates.
    """

    as_of: date
    known_at: date | None
    knew_until: date | None
    code_version: str
    config_digest: str
    purchases: FrozenFit
    value: FrozenFit
    recency_cuts: tuple[int, ...]
    frequency_cuts: tuple[int, ...]
    monetary_cuts: tuple[Decimal, ...]
    clv_decile_cuts: tuple[Decimal, ...] | None
    value_tier_cuts: tuple[Decimal, Decimal] | None
    potential_references: tuple[Reference | None, ...]
    weights: FrozenWeights | None
    curves: tuple[FrozenCurve, ...]
    current_theta: Decimal | None
    potential_theta: float | None

    @property
    def file_name(self) -> str:
        """Its date, and what was known where that was bounded."""
        return f"{self.as_of}-known-{self.known_at}.json" if self.known_at else f"{self.as_of}.json"

    @property
    def identity(self) -> str:
        """Date and hash of all that it holds but what was known; published with every row that stands on it.

        A month that is made later, of what was known then, has the same numbers, and the same identity.
        """
        numbers = self.model_copy(update={"known_at": None, "knew_until": None}).canonical()
        return f"{self.as_of}-{hashlib.sha256(numbers.encode()).hexdigest()[:12]}"

    def canonical(self) -> str:
        """The JSON text, the same bytes for the same numbers."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def settings_digest(settings: Settings) -> str:
    """Digest of the settings that a calibration stands on, wherever they are written, and of its extracts."""
    extracts = ",".join(settings.inputs.configured)
    # These two of the lifecycle say until when a customer costs something, and so shape the current value.
    days = f"{settings.lifecycle.new_days.value} {settings.lifecycle.terminated_days.value}"
    sections = settings.digest(*SECTIONS, provenance=False)
    return hashlib.sha256(f"{sections} {extracts} {days}".encode()).hexdigest()


def current(layout: Layout, settings: Settings, as_of: date, known_at: date | None) -> Calibration | None:
    """The newest calibration not after `as_of`, if it is of the same definitions and not due for a new one.

    One of other definitions is not even read: it may be of an earlier version, with other fields.
    What the run in hand has made counts too. A run with a `known_at` may use each that knew no more, nor less
    than its own day: also what the nightly run made at the time, which in turn uses none of a backfill's.

    Raises:
        ConfigError: An artefact cannot be read.
    """
    refresh, digest = settings.calibration.refresh, settings_digest(settings)
    paths = [
        path
        for folder in (layout.calibrations, layout.made_calibrations)
        for path in sorted(folder.glob("*.json"))
        if _may_be_of(path, digest)
    ]
    fitting = [
        one
        for one in map(read, paths)
        if one.config_digest == digest
        and one.as_of <= as_of
        and _period(one.as_of, refresh) == _period(as_of, refresh)
        and _may_use(known_at, one)
    ]
    return max(fitting, key=lambda one: (one.as_of, one.known_at is None), default=None)


def _may_be_of(path: Path, digest: str) -> bool:
    """Whether an artefact is of these definitions; of a damaged one nobody can say that it is not."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    own = content.get("config_digest") if isinstance(content, dict) else None
    return own == digest if isinstance(own, str) else True


def _may_use(known_at: date | None, one: Calibration) -> bool:
    if known_at is None:
        return one.known_at is None
    complete = one.known_at is None or one.known_at == known_at or one.known_at >= one.as_of
    return complete and one.knew_until is not None and one.knew_until <= known_at


def standing(layout: Layout, settings: Settings, as_of: date, known_at: date | None) -> Calibration:
    """The calibration that the scores and labels of a run stand on.

    Raises:
        ModelGateError: There is none; the stage `fit` makes it.
    """
    calibration = current(layout, settings, as_of, known_at)
    if calibration is None:
        raise ModelGateError("no calibration stands for this date", next_step="clvpipe fit")
    return calibration


def save(layout: Layout, calibration: Calibration, *, kept: bool) -> None:
    """Write an artefact, to be kept at once, or by `keep` when what was made with it has passed its gates."""
    folder = layout.calibrations if kept else layout.made_calibrations
    folder.mkdir(exist_ok=True)
    staged = folder / f".{calibration.file_name}"
    staged.write_text(calibration.canonical(), encoding="utf-8")
    make_durable(staged, folder / calibration.file_name)


def keep(layout: Layout) -> bool:
    """Keep what the run in hand has made; whether there was anything."""
    made = sorted(layout.made_calibrations.glob("*.json"))
    for path in made:
        make_durable(path, layout.calibrations / path.name)
    if made:
        layout.made_calibrations.rmdir()
    return bool(made)


def read(path: Path) -> Calibration:
    """Read one artefact.

    Raises:
        ConfigError: It is damaged or of another version.
    """
    try:
        return Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigError(
            "the calibration cannot be read",
            where=str(path),
            left="the last publication",
            next_step="restore the file, or remove it so that a new calibration is made",
        ) from error


def code_version() -> str:
    """The version that made an artefact or a publication."""
    return __version__


def _period(day: date, refresh: str) -> tuple[int, ...]:
    match refresh:
        case "month":
            return (day.year, day.month)
        case "quarter":
            return (day.year, (day.month - 1) // 3)
        case "year":
            return (day.year,)
        case _:
            return ()
