"""The summary of the segments: the whole bank, and its branches and communities with small cells suppressed.

Reads: table `customer_segments`. Writes: table `segment_summary`. The tables on the way hold what is
suppressed, so they are temporary.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from clvpipe.contracts import PUBLISHED
from clvpipe.engine import Engine
from clvpipe.models.suppression import Profiles, suppressed_cells
from clvpipe.sqlrepo import load

# Each has a column in sql/segments/summary_profiles.sql and a line in summary_cells.sql.
SUMMARY_SCHEMES = (
    "lifecycle_state", "stage5", "relationship5", "icbc6", "stage4", "quadrant", "value_tier", "deposit_tier",
    "rfm_group",
)  # fmt: skip

_ALL = "ALL"
_MEMBER = ("cell", "member")
_KNOWN = ("current_value_is_known", "clv_12m_is_known")
_CELL = {name: pl.String() for name in ("dimension", "cell", "member", "scheme", "label")}


def make_summary(engine: Engine, work: Path, day: date, minimum: int) -> int:
    """Make `segment_summary` from `customer_segments`; its rows.

    Args:
        engine: The run's database.
        work: A folder that the engine may read, for a file on the way.
        day: as_of.
        minimum: The least number of customers that a cell of a branch or community may show.
    """
    engine.create_table("summary_profiles", load("summary_profiles").bind({}), temporary=True)
    columns = list(engine.describe("summary_profiles"))
    profiles = engine.ordered("summary_profiles", columns, by=columns).filter(pl.col("dimension") != _ALL)
    parts = dict(_broken_down(profiles))
    engine.load_rows(
        "summary_dimensions",
        {"dimension": "VARCHAR"},
        [(dimension,) for dimension in (_ALL, *parts)],
        temporary=True,
    )
    engine.load_rows(
        "summary_schemes", {"scheme": "VARCHAR"}, [(name,) for name in SUMMARY_SCHEMES], temporary=True
    )
    engine.create_table("summary_cells", load("summary_cells").bind({}), temporary=True)
    held_back = [_suppressed(dimension, part, minimum) for dimension, part in parts.items()]
    path = work / "suppressed.parquet"
    pl.concat([pl.DataFrame(schema=_CELL), *held_back]).write_parquet(path)
    engine.view_parquet("suppressed_cells", [path])
    contract = PUBLISHED["segment_summary"]
    query = load(contract.name).bind({"as_of": day.isoformat()}, contract=contract)
    rows = engine.create_table(contract.name, query)
    path.unlink()
    return rows


def _broken_down(profiles: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The dimensions that say more than the whole bank: some member is known, and not everybody is in it."""
    for (dimension,), part in sorted(profiles.group_by("dimension")):
        if part.select(_MEMBER).n_unique() > 1:
            yield str(dimension), part


def _suppressed(dimension: str, part: pl.DataFrame, minimum: int) -> pl.DataFrame:
    """The cells of a dimension that are not to be shown."""
    members = part.select(_MEMBER).unique().sort(_MEMBER).with_row_index("member_number")
    kinds = part.select(*SUMMARY_SCHEMES, *_KNOWN).unique().sort(pl.all()).with_row_index("profile_number")
    numbered = part.join(members, on=_MEMBER).join(kinds, on=[*SUMMARY_SCHEMES, *_KNOWN])
    labels, names = _numbered_labels(kinds)
    found = suppressed_cells(
        numbered["member_number"].to_numpy().astype(np.int64),
        numbered["profile_number"].to_numpy().astype(np.int64),
        numbered["customers"].to_numpy().astype(np.int64),
        Profiles(labels, kinds.select(_KNOWN).to_numpy()),
        minimum,
    )
    of_member, of_label = np.nonzero(found)
    return pl.concat([members.select(_MEMBER)[of_member], names[of_label]], how="horizontal").select(
        pl.lit(dimension).alias("dimension"), *_MEMBER, "scheme", "label"
    )


def _numbered_labels(kinds: pl.DataFrame) -> tuple[np.ndarray, pl.DataFrame]:
    """Labels of all schemes, numbered one after another: of each profile, and the list of them."""
    names = pl.concat(
        kinds.select(pl.lit(scheme).alias("scheme"), pl.col(scheme).alias("label")).unique().sort("label")
        for scheme in SUMMARY_SCHEMES
    )
    number = {name: place for place, name in enumerate(names.rows())}
    labels = [[number[scheme, label] for label in kinds[scheme]] for scheme in SUMMARY_SCHEMES]
    return np.array(labels, dtype=np.int64).T, names
