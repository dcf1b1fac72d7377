"""The shape of a configuration. Values come from TOML files alone: this module holds no default numbers."""

import hashlib
import json
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StrictBool, field_validator, model_validator

from clvpipe.config.base import Count, Days, Frozen, Money, Name, ProperShare, Ratio, Share, Threshold
from clvpipe.config.inputs import Inputs
from clvpipe.contracts.extracts import LARGEST_AMOUNT

STAGES = ("ingest", "features", "fit", "score", "segment", "publish")


class PurchaseDefault(Frozen):
    """What a type that no rule names is."""

    purchase: StrictBool
    margin_rate: Annotated[Decimal, Field(ge=-10, le=10, decimal_places=6)]


class PurchaseRule(Frozen):
    """Transaction types that are (or are not) purchases, and the share of the amount that is earned."""

    types: Annotated[tuple[Name, ...], Field(min_length=1)]
    purchase: StrictBool
    margin_rate: Annotated[Decimal, Field(ge=-10, le=10, decimal_places=6)] = Decimal(1)


class Purchases(Frozen):
    """The definition of a purchase."""

    default: PurchaseDefault
    rules: tuple[PurchaseRule, ...]

    @field_validator("rules")
    @classmethod
    def _one_rule_a_type(cls, value: tuple[PurchaseRule, ...]) -> tuple[PurchaseRule, ...]:
        types = [kind for rule in value for kind in rule.types]
        twice = sorted({kind for kind in types if types.count(kind) > 1})
        if twice:
            raise ValueError(f"transaction type {twice[0]!r} stands in two rules")
        return value


class Rfm(Frozen):
    """RFM scores 1 to 5."""

    window_days: Days
    cut_shares: Threshold[tuple[float, float, float, float]]

    @field_validator("cut_shares")
    @classmethod
    def _ascending(cls, value: Threshold[Any]) -> Threshold[Any]:
        shares = value.value
        if any(not 0 < share < 1 for share in shares) or sorted(set(shares)) != list(shares):
            raise ValueError("four ascending shares between 0 and 1")
        return value


class Clv(Frozen):
    """Lifetime value: discounting and minimum data."""

    annual_discount_rate: Threshold[Annotated[float, Field(ge=0, le=10)]]
    minimum_customers: Count
    minimum_repeaters: Count
    minimum_span_gaps: Ratio
    maximum_value_correlation: Threshold[Annotated[float, Field(gt=0, le=1)]]
    seed: Annotated[int, Field(ge=0)]


class Theta(Frozen):
    """How a quadrant's threshold is found when a calibration is made."""

    method: Literal["median", "mean", "quantile", "pareto", "fixed"]
    parameter: Annotated[Decimal, Field(ge=-LARGEST_AMOUNT, le=LARGEST_AMOUNT)] | None = None
    provenance: str = Field(min_length=1)

    @model_validator(mode="after")
    def _parameter(self) -> "Theta":
        needs = self.method in ("quantile", "pareto", "fixed")
        if needs != (self.parameter is not None):
            raise ValueError(f"method {self.method!r} {'needs' if needs else 'takes no'} `parameter`")
        if self.method in ("quantile", "pareto") and not 0 < (self.parameter or 0) < 1:
            raise ValueError(f"`parameter` of {self.method!r} is a share between 0 and 1")
        return self


class Quadrants(Frozen):
    """Current value x potential value."""

    current_theta: Theta
    potential_theta: Theta

    @model_validator(mode="after")
    def _index(self) -> "Quadrants":
        fixed = self.potential_theta.parameter if self.potential_theta.method == "fixed" else None
        if fixed is not None and not 0 <= fixed <= 1:
            raise ValueError("a fixed `potential_theta` is an index between 0 and 1")
        return self


class ValueTier(Frozen):
    """How HIGH and MID are told from LOW: by shares of customers, shares of the positive sum, or amounts."""

    by: Literal["shares", "pareto", "bands"]
    high_share: Share
    mid_share: Share
    pareto_shares: Threshold[tuple[ProperShare, ProperShare]]
    bands: Threshold[tuple[Money, Money]]

    @property
    def in_use(self) -> tuple[str, ...]:
        """The settings that are read."""
        names = {"shares": ("high_share", "mid_share"), "pareto": ("pareto_shares",), "bands": ("bands",)}
        return names[self.by]

    @model_validator(mode="after")
    def _order(self) -> "ValueTier":
        if self.high_share.value + self.mid_share.value >= 1:
            raise ValueError("high_share + mid_share must leave something for LOW")
        if self.pareto_shares.value[0] >= self.pareto_shares.value[1]:
            raise ValueError("`pareto_shares` must rise: the share of HIGH, then that of HIGH and MID")
        if self.bands.value[0] >= self.bands.value[1]:
            raise ValueError("`bands` must rise: the lower bound of MID, then that of HIGH")
        return self


COMPONENTS = ("PRODUCTS", "MOBILE", "ASSETS", "RESIDUAL_CLV")


class Weights(Frozen):
    """How much each rank counts in the potential index; in the order of `COMPONENTS`."""

    method: Literal["EXPERT", "AHP", "ENTROPY"]
    expert: (
        Annotated[tuple[Annotated[Decimal, Field(ge=0, le=1000)], ...], Field(min_length=4, max_length=4)]
        | None
    ) = None
    pairwise: (
        Annotated[
            tuple[
                Annotated[
                    tuple[Annotated[float, Field(gt=0, le=100)], ...], Field(min_length=4, max_length=4)
                ],
                ...,
            ],
            Field(min_length=4, max_length=4),
        ]
        | None
    ) = None
    provenance: str = Field(min_length=1)

    @model_validator(mode="after")
    def _of_the_method(self) -> "Weights":
        if self.method == "EXPERT" and (self.expert is None or not any(self.expert)):
            raise ValueError("method 'EXPERT' needs `expert`: four weights, one of them above zero")
        if self.method == "AHP" and self.pairwise is None:
            raise ValueError("method 'AHP' needs `pairwise`: four rows of four judgements")
        return self


class Potential(Frozen):
    """What the potential index is made of."""

    assets: Literal["amount", "count"]
    weights: Weights


class Products(Frozen):
    """Which product types are financial assets, and which are loans."""

    asset_types: tuple[Name, ...]
    loan_types: tuple[Name, ...]

    @property
    def groups(self) -> list[tuple[str, bool, bool]]:
        """Product type, whether it is an asset, whether it is a loan."""
        named = sorted({*self.asset_types, *self.loan_types})
        return [(name, name in self.asset_types, name in self.loan_types) for name in named]


class Contacts(Frozen):
    """Which events are the customer's own knock at the door."""

    inbound_events: tuple[Name, ...]


class Balances(Frozen):
    """For how long an observed balance stands, and what observed daily means."""

    gap_days: Threshold[Annotated[int, Field(ge=1, le=31)]]
    daily_observations: Threshold[Annotated[int, Field(ge=1, le=28)]]


class Annuity(Frozen):
    """Minimum data of a survival curve; below it a product has that of all products."""

    minimum_holdings: Count
    minimum_closures: Count


class TierMemory(Frozen):
    """The memory of deposit tiers, see `models/deposit_tiers.py`. No `watch_after`: no watch."""

    upgrade_lag_months: Annotated[int, Field(ge=0, le=12)]
    watch_after: Annotated[int, Field(ge=1, le=120)] | None = None
    downgrade_after: dict[Literal["GOLD", "PLATINUM", "DIAMOND"], Annotated[int, Field(ge=1, le=120)]]
    downgrade_to: Literal["last", "max_in_window"]
    provenance: str = Field(min_length=1)

    @field_validator("downgrade_after")
    @classmethod
    def _every_tier(cls, value: dict[str, int]) -> dict[str, int]:
        if len(value) < 3:
            raise ValueError("give GOLD, PLATINUM and DIAMOND")
        return value


class DepositTier(Frozen):
    """Deposit tiers: lower bounds of GOLD, PLATINUM and DIAMOND, and which memory they have."""

    bounds: Threshold[tuple[Money, Money, Money]]
    memory: str
    memories: dict[str, TierMemory]

    @model_validator(mode="after")
    def _chosen(self) -> "DepositTier":
        if self.memory not in self.memories:
            raise ValueError(f"there is no memory {self.memory!r}; known: {', '.join(sorted(self.memories))}")
        low, middle, high = self.bounds.value
        if not 0 < low < middle < high:
            raise ValueError("`bounds` must rise, from above zero")
        return self

    @property
    def rules(self) -> TierMemory:
        """The chosen memory."""
        return self.memories[self.memory]


class Lifecycle(Frozen):
    """The numbers that the lifecycle rules (config/lifecycle.toml) read by name."""

    new_days: Days
    return_days: Days
    churn_days: Days
    churn_gap_multiple: Ratio
    terminated_days: Days
    recent_days: Days
    long_recent_days: Days
    baseline_days: Days
    baseline_minimum_days: Days
    baseline_minimum_purchases: Count
    recent_minimum_expected: Count
    decline_rate_ratio: Ratio
    growth_rate_ratio: Ratio
    significance: Share
    late_gap_multiple: Ratio
    late_longest_multiple: Ratio
    late_minimum_days: Days
    late_minimum_gaps: Count
    mature_relationship_days: Days
    mature_active_months: Count
    mature_gap_multiple: Ratio
    mature_minimum_days: Days
    mature_products: Count
    steady_variation: Ratio
    live_balance: Threshold[Money]
    falling_ratio: Ratio
    decline_amount: Threshold[Money]
    falling_minimum_recent_days: Days
    falling_minimum_prior_days: Days

    @model_validator(mode="after")
    def _windows(self) -> "Lifecycle":
        if self.recent_days.value > self.long_recent_days.value:
            raise ValueError("`recent_days` is longer than `long_recent_days`")
        if self.baseline_minimum_days.value > self.baseline_days.value:
            raise ValueError("`baseline_minimum_days` is longer than `baseline_days`")
        return self


class Calibration(Frozen):
    """How long frozen numbers stand."""

    refresh: Literal["month", "quarter", "year", "never"]


class Quality(Frozen):
    """Gates on the data."""

    maximum_reject_share: Threshold[Annotated[Decimal, Field(ge=0, le=1)]]
    maximum_lag_days: Days
    maximum_volume_fall: Share
    maximum_volume_rise: Ratio
    schema_drift: Literal["evolve", "freeze"]
    blocking: tuple[Name, ...]


class Privacy(Frozen):
    """Whether customers go by their own ids or by pseudonyms, and where the key of these is."""

    identifiers: Literal["plain", "hmac"]
    key_file: Name | None = None
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None

    @model_validator(mode="after")
    def _one_key(self) -> "Privacy":
        given = (self.key_file is not None) + (self.key_env is not None)
        if given != (self.identifiers == "hmac"):
            raise ValueError(
                '`identifiers = "hmac"` needs either `key_file` or `key_env`; "plain" takes none'
            )
        return self


class Publication(Frozen):
    """What is shown of small groups, and what is kept of earlier publications."""

    minimum_cell: Threshold[Annotated[int, Field(ge=2)]]
    keep_versions: Annotated[int, Field(ge=2, le=10_000)]


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {value!r}") from error
    return value


class Settings(Frozen):
    """Everything that a run is configured by."""

    preset: Literal["bank", "wealth", "retail"] | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    timezone: Annotated[str, AfterValidator(_known_zone)]
    inputs: Inputs
    purchases: Purchases
    products: Products
    contacts: Contacts
    balances: Balances
    rfm: Rfm
    clv: Clv
    annuity: Annuity
    potential: Potential
    quadrants: Quadrants
    value_tier: ValueTier
    deposit_tier: DepositTier
    lifecycle: Lifecycle
    calibration: Calibration
    quality: Quality
    privacy: Privacy
    publication: Publication

    def digest(self, *sections: str, provenance: bool = True) -> str:
        """SHA-256 of the canonical JSON of the settings, or of some of their sections.

        Args:
            sections: Names of sections; none: all.
            provenance: Whether it matters where a number comes from, beside what it is.
        """
        data = self.model_dump(mode="json")
        chosen = {name: data[name] for name in sections} if sections else data
        if not provenance:
            chosen = _without_provenance(chosen)
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _without_provenance(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_provenance(value) for key, value in tree.items() if key != "provenance"}
    return tree


class Pipeline(Frozen):
    """An ordered list of stages, and for a sample pipeline its own config and date."""

    name: str
    title: str
    config: str | None = None
    as_of: str | None = None
    stages: Annotated[tuple[Literal[STAGES], ...], Field(min_length=1)]  # type: ignore[valid-type]

    @field_validator("stages")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if list(value) != sorted(set(value), key=STAGES.index):
            raise ValueError(f"stages run once each, in this order: {', '.join(STAGES)}")
        return value
