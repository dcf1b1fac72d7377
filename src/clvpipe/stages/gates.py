"""What is held against the last publication and the deliveries before: volume, columns, months, schema.

Every check is a row of `data_quality`, and says the same when the same run is made again.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from clvpipe.config.settings import Quality
from clvpipe.contracts import PUBLISHED, dictionary
from clvpipe.contracts.compatibility import breaking_changes
from clvpipe.errors import ConfigError, InputError
from clvpipe.publish.history import missing_month_ends
from clvpipe.publish.versions import DICTIONARY, reach, read_dictionary, read_manifest, standing_version
from clvpipe.sqlrepo import load, sql_files
from clvpipe.stages.context import Check, Context
from clvpipe.stages.erasure import CHECK
from clvpipe.stages.ledger import Part, delivery_order, drift

# Checks that warn, beside those under sql/audits.
_WARNINGS = frozenset({"reject_share", "schema_drift", "history_complete"})


def check_names(quality: Quality) -> None:
    """What the configuration lets block must exist.

    Raises:
        ConfigError: It names no check that warns.
    """
    audits = {name for name, path in sql_files().items() if path.parent.name == "audits"}
    known = _WARNINGS | {name for name in audits if load(name).header["severity"] == "WARNS"}
    unknown = sorted(set(quality.blocking) - known)
    if unknown:
        raise ConfigError(
            f"there is no check {unknown[0]!r} that warns",
            where="setting `quality.blocking`",
            left="everything",
            next_step=f"choose among {', '.join(sorted(known))}",
        )


def last_publication(context: Context) -> Path | None:
    """The publication that stands, unless it is of a later day or knows more than this run."""
    version = standing_version(context.layout)
    if version is None:
        return None
    ours = {"as_of": context.day.isoformat(), "known_at": context.known_at and context.known_at.isoformat()}
    return version if reach(read_manifest(version)) <= reach(ours) else None


def volume_of(context: Context) -> dict[str, int]:
    """What a run saw, for the manifest and the next run's gate."""
    return {"customers": context.engine.count("customers"), "events": context.engine.count("transactions")}


def volume_checks(context: Context, last: Path | None) -> Iterator[Check]:
    """Customers and events do not fall by more than the configured share of the last publication's."""
    fall = context.settings.quality.maximum_volume_fall.value
    before: dict[str, int] = read_manifest(last)["volume"] if last else {}
    for subject, observed in volume_of(context).items():
        fell = observed < before.get(subject, 0) * (1 - fall)
        words = f"{subject} do not fall by more than {fall:.0%} between publications"
        if fell:
            words = f"{before[subject]} {subject} in {last.name if last else ''}, and only {observed} now"
        severity = "INFORMS" if context.accept_volume else "BLOCKS"
        yield Check("volume", subject, severity, not fell, observed, f"a fall of {fall:%}", words)


def volume_warnings(context: Context, last: Path | None) -> Iterator[str]:
    """A rise is published, and said."""
    rise = context.settings.quality.maximum_volume_rise.value
    before: dict[str, int] = read_manifest(last)["volume"] if last else {}
    for subject, observed in volume_of(context).items():
        if subject in before and observed > before[subject] * (1 + rise):
            yield f"{observed} {subject}, and only {before[subject]} in the last publication"


def drift_check(extract: str, parts: Sequence[Part]) -> Check:
    """The newest delivery of an extract has the columns of the one before."""
    *_, before, newest = [None, None, *sorted(parts, key=delivery_order)]
    found = drift(before.columns, newest.columns) if before and newest else ""
    return Check(
        "schema_drift",
        extract,
        "WARNS",
        not found,
        len(before.columns ^ newest.columns) if before and newest else 0,
        "0",
        f"{newest.source_name} has other columns than the delivery before: {found}"
        if newest and found
        else "a delivery has the columns of the one before",
    )


def history_check(days: Sequence[date]) -> Check:
    """Between the first and the last month-end none is missing."""
    missing = missing_month_ends(days)
    words = "segment_history has every month-end since its first"
    if missing:
        words = (
            f"segment_history lacks {len(missing)} month-ends; "
            f"clvpipe backfill --from {missing[0]} --to {missing[-1]} makes them"
        )
    return Check("history_complete", "segment_history", "WARNS", not missing, len(missing), "0", words)


def erased_check() -> Check:
    """Detail + erased = summary; `clvpipe forget` sets the count in the publications that stand."""
    return Check(
        CHECK,
        "customer_segments",
        "INFORMS",
        True,
        0,
        None,
        "customers erased after publication: rows of the detail + these = customers of each scheme",
    )


def keep_contract(context: Context, last: Path | None) -> None:
    """What readers rely on stays, unless somebody has said otherwise.

    Raises:
        InputError: The schema of this code breaks with the published one.
    """
    if last is None or context.allow_breaking:
        return
    broken = list(breaking_changes(read_dictionary(last), dictionary(PUBLISHED.values())))
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise InputError(
            f"the published schema would break: {broken[0]}{more}",
            where=str(last / DICTIONARY),
            left="the last publication",
            next_step="tell the readers, then run once with --allow-breaking",
        )
