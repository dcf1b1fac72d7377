"""Rules and codes that a bank edits as data: lifecycle states, RFM groups, code labels."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from clvpipe.config.base import Frozen
from clvpipe.config.load import read_toml, validated
from clvpipe.errors import ConfigError
from clvpipe.locations import resource_dir

# The label systems that a state is translated into.
SYSTEMS = ("stage5", "relationship5", "icbc6", "stage4")
Scores = Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)]


class LifecycleState(Frozen):
    """One state: its condition and its label in each of the four systems."""

    code: str
    when: str
    stage5: str
    relationship5: str
    icbc6: str
    stage4: str
    icbc6_when_paid_back: str | None = None
    paid_back_needs_repeat: bool = False

    def labels(self) -> Iterator[tuple[str, str]]:
        """(scheme, code) pairs: its own code, and its label in each system."""
        yield "lifecycle_state", self.code
        for system in SYSTEMS:
            yield system, getattr(self, system)
        if self.icbc6_when_paid_back is not None:
            yield "icbc6", self.icbc6_when_paid_back


class LifecycleRules(Frozen):
    """The state machine, in order."""

    state: Annotated[tuple[LifecycleState, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _once_each(self) -> "LifecycleRules":
        codes = [state.code for state in self.state]
        if len(set(codes)) < len(codes):
            raise ValueError("a state stands twice")
        return self


class RfmGroup(Frozen):
    """The codes whose scores lie in these lists."""

    code: str
    recency: Scores
    frequency: Scores
    monetary: Scores


class RfmGroups(Frozen):
    """A partition of the 125 codes."""

    group: tuple[RfmGroup, ...]

    @model_validator(mode="after")
    def _partition(self) -> "RfmGroups":
        covered = [code for code, _ in self.by_code()]
        twice = sorted({code for code in covered if covered.count(code) > 1})
        if twice:
            raise ValueError(f"RFM code {twice[0]} lies in two groups")
        missing = sorted({f"{r}{f}{m}" for r, f, m in product(range(1, 6), repeat=3)} - set(covered))
        if missing:
            raise ValueError(f"RFM code {missing[0]} lies in no group")
        return self

    def by_code(self) -> list[tuple[str, str]]:
        """(RFM code, group) pairs."""
        return [
            (f"{r}{f}{m}", group.code)
            for group in self.group
            for r, f, m in product(group.recency, group.frequency, group.monetary)
        ]


class CodeScheme(Frozen):
    """Codes of one scheme with English and Chinese labels."""

    source: str
    codes: Annotated[tuple[tuple[str, str, str], ...], Field(min_length=1)]


class Codes(Frozen):
    """Every scheme."""

    schemes: dict[str, CodeScheme]

    def of(self, scheme: str) -> tuple[str, ...]:
        """The codes of one scheme, in order."""
        return tuple(code for code, _, _ in self.schemes[scheme].codes)

    def label(self, scheme: str, code: str) -> tuple[str, str]:
        """The English and the Chinese label of a code."""
        return next((en, zh) for known, en, zh in self.schemes[scheme].codes if known == code)


def check_labels(rules: LifecycleRules, codes: Codes, source: str) -> None:
    """Hold the states and their labels against the schemes.

    Raises:
        ConfigError: A scheme does not have the code.
    """
    for state in rules.state:
        for scheme, code in state.labels():
            known = codes.of(scheme) if scheme in codes.schemes else ()
            if code not in known:
                raise ConfigError(
                    f"{code!r} is no code of the scheme {scheme}",
                    where=f"{source}, rule {state.code}",
                    next_step=f"add it to config/codes.toml, or choose of: {', '.join(known) or 'none'}",
                )


@cache
def load_lifecycle() -> LifecycleRules:
    """config/lifecycle.toml, with labels that config/codes.toml has."""
    path = _path("lifecycle")
    rules = validated(LifecycleRules, read_toml(path), path)
    check_labels(rules, load_codes(), path.name)
    return rules


@cache
def load_rfm_groups() -> RfmGroups:
    """config/rfm_groups.toml."""
    path = _path("rfm_groups")
    return validated(RfmGroups, read_toml(path), path)


@cache
def load_codes() -> Codes:
    """config/codes.toml."""
    path = _path("codes")
    return validated(Codes, {"schemes": read_toml(path)}, path)


def _path(name: str) -> Path:
    return resource_dir("config") / f"{name}.toml"
