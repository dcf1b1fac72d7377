"""Audit, write, verify and swap.

Reads: the published datasets in the warehouse, the ledger, the last publication. Writes: `data_quality`,
`rejected_rows`, a version under <out>/versions, <out>/current, state/warehouse.duckdb.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from clvpipe.calibration import code_version, keep, standing
from clvpipe.config.rules import load_codes
from clvpipe.contracts import PUBLISHED, SCHEMA_VERSION, dictionary
from clvpipe.engine.duckdb_engine import table_columns
from clvpipe.errors import ConfigError, InputError, QualityGateError, StorageError
from clvpipe.publish.contract import problems
from clvpipe.publish.history import DATASET as HISTORY
from clvpipe.publish.history import take_along
from clvpipe.publish.versions import (
    Publication,
    PublishedFile,
    clear_staging,
    files_of,
    link_file,
    prune,
    publish,
    read_dictionary,
    read_manifest,
    sound_file,
    stage_file,
    standing_version,
)
from clvpipe.sqlrepo import load, sql_files
from clvpipe.sqlrepo.repo import Value
from clvpipe.stages import gates
from clvpipe.stages.context import Check, Context, StageResult
from clvpipe.stages.ledger import Part, by_extract, known, ledger, main_reason


def run(context: Context) -> StageResult:
    """Publish what the warehouse holds.

    Raises:
        QualityGateError: An audit, a gate or the verification failed; `current` is as it was.
        InputError: The published schema would break.
    """
    context.needs("segment")
    last = gates.last_publication(context)
    gates.keep_contract(context, last)
    parts = known(context, ledger(context))
    of_extract = by_extract(parts)
    context.engine.view_parquet("transactions_parts", [part.path for part in of_extract["transactions"]])
    clear_staging(context.layout)
    history = _history(context)
    checks = [
        *(check for name, own in of_extract.items() for check in _ledger_checks(context, name, own)),
        *_audits(context),
        *gates.volume_checks(context, last),
        *(gates.drift_check(name, own) for name, own in of_extract.items()),
        gates.history_check([date.fromisoformat(file.as_of_date) for file in history] + [context.day]),
        gates.erased_check(),
    ]
    checks = [_weighed(context, check) for check in checks]
    _load_quality(context, checks)
    context.engine.view_parquet("rejects", [part.rejects for part in parts])
    context.engine.load_rows(
        "deliveries",
        {"source_file": "VARCHAR", "file_name": "VARCHAR"},
        [(part.path.name, part.source_name) for part in of_extract.get("balances", [])],
        temporary=True,
    )
    context.make("rejected_rows", {"as_of": context.day.isoformat()}, PUBLISHED["rejected_rows"])
    _stop_at(context, checks)
    context.reached("checks passed")
    files = []
    for name in PUBLISHED:
        files += history if name == HISTORY else []
        files.append(_write(context, name))
        context.reached("dataset staged")
    _keep_calibrations(context)
    facts = _facts(context, parts)
    context.engine.checkpoint()
    context.reached("warehouse settled")
    warnings = [check.detail for check in checks if check.severity == "WARNS" and not check.passed]
    # Before anything is published: the last publication may be gone afterwards.
    warnings += gates.volume_warnings(context, last)
    if not _readers_see(context, standing_version(context.layout)):
        warnings.append(
            "the publication that readers saw is damaged: month-ends come from the newest that can be read"
        )
    if last is not None and not _same_ids(context, last):
        warnings.append(
            "customers go by other ids than in the last publication: segment_history begins anew, and kept "
            "versions hold the ids of their time"
        )
    publication = publish(context.layout, context.day, files, facts, context.reached)
    context.publication, context.keeps_warehouse = publication, publication.is_current
    warnings += _pruned(context, publication)
    if not publication.is_current:
        warnings.append(f"`current` stays with a later day or later knowledge than {publication.folder.name}")
    return StageResult(
        {file.dataset: file.rows for file in files}, (_sentence(publication),), tuple(warnings)
    )


def extend_history(context: Context) -> StageResult | None:
    """Give the publication that readers see the month-ends that this run has made, if it is of a later day.

    Returns:
        None if it is not: there is a whole publication to be made.
    """
    version = standing_version(context.layout)
    if version is None or gates.last_publication(context) is not None:
        return None
    manifest = read_manifest(version)
    _must_be_of_one_kind(context, version)
    latest = date.fromisoformat(manifest["as_of"])
    made = {day: path for day, path in context.history.items() if day < latest}
    clear_staging(context.layout)
    history = [_stage_history(context, day, path) for day, path in made.items()]
    history += take_along(context.layout, version, before=latest, without=made)
    history.sort(key=lambda file: file.as_of_date)
    complete = gates.history_check([date.fromisoformat(file.as_of_date) for file in history] + [latest])
    files = []
    for file in files_of(manifest):
        if file.dataset == "data_quality":
            files.append(_with_check(context, version, file, _weighed(context, complete)))
        elif file.dataset != HISTORY:
            files.append(link_file(context.layout, file, sound_file(version, file)))
        elif file.as_of_date == latest.isoformat():
            files += [*history, link_file(context.layout, file, sound_file(version, file))]
    facts = {key: manifest[key] for key in manifest if key not in ("version", "sequence", "files")}
    facts |= {"run_id": context.run_id, "published_at": context.started_at.isoformat()}
    _keep_calibrations(context)
    context.publication = publish(context.layout, latest, files, facts, context.reached)
    note = f"{_sentence(context.publication)}, with {len(history)} month-ends before its day"
    rows = {HISTORY: sum(file.rows for file in history)}
    return StageResult(rows, (note,), tuple(_pruned(context, context.publication)))


def _must_be_of_one_kind(context: Context, version: Path) -> None:
    """Month-ends are added only to a publication of the same schema, whose customers go by the same ids."""
    if read_dictionary(version) != dictionary(PUBLISHED.values()):
        raise InputError(
            "the publication that readers see has another schema",
            where=str(version),
            left="the last publication",
            next_step="clvpipe run publishes with today's schema; then run the backfill again",
        )
    if not _same_ids(context, version):
        raise ConfigError(
            "in the publication that readers see, customers go by other ids",
            where=str(version),
            left="the last publication",
            next_step="clvpipe run publishes with today's ids; then run the backfill again",
        )


def _with_check(context: Context, version: Path, file: PublishedFile, check: Check) -> PublishedFile:
    """The published checks, with one of them made again."""
    engine = context.engine
    engine.view_parquet("published_checks", [version / file.path])
    values = {
        "severity": check.severity,
        "passed": check.passed,
        "observed": check.observed,
        "detail": check.detail,
    }
    engine.replace_values(
        "published_checks", target="kept_checks", values=values, where=("check_name", check.name)
    )
    written = context.layout.staging / f"{file.dataset}.parquet"
    contract = PUBLISHED[file.dataset]
    rows = engine.write_parquet(written, "kept_checks", columns=contract.column_names, order_by=contract.key)
    return stage_file(context.layout, file.dataset, date.fromisoformat(file.as_of_date), written, rows)


def _pruned(context: Context, publication: Publication) -> Iterator[str]:
    """Remove old versions. Readers have their publication by now, so a failure here is said, and no more."""
    try:
        prune(context.layout, context.settings.publication.keep_versions, publication, context.reached)
    except (OSError, StorageError):
        yield "versions that are no longer kept could not be removed; the next run tries again"


def _keep_calibrations(context: Context) -> None:
    if keep(context.layout):
        context.reached("calibration kept")


def keep_history(context: Context) -> Path:
    """Audit the tables of a day and write its history aside; other days follow before anything is published.

    Raises:
        QualityGateError: An audit failed.
    """
    checks = [_weighed(context, check) for check in _audits(context)]
    _load_quality(context, checks)
    _stop_at(context, checks)
    path = context.layout.work / f"history-{context.day}.parquet"
    _write_checked(context, HISTORY, path)
    return path


def _stage_history(context: Context, day: date, path: Path) -> PublishedFile:
    return stage_file(context.layout, HISTORY, day, path, pq.read_metadata(path).num_rows)


def _history(context: Context) -> list[PublishedFile]:
    """Earlier month-ends: those of the publication that readers see, and those that this run has made."""
    made = [_stage_history(context, day, path) for day, path in context.history.items() if day < context.day]
    version = standing_version(context.layout)
    if version is not None and _same_ids(context, version):
        made += take_along(context.layout, version, before=context.day, without=context.history)
    return sorted(made, key=lambda file: file.as_of_date)


def _readers_see(context: Context, version: Path | None) -> bool:
    """Whether `current` points to a version, or to nothing where there is none."""
    current = context.layout.current
    return (current.resolve() if current.exists() else None) == version


def _same_ids(context: Context, version: Path) -> bool:
    return bool(read_manifest(version)["identity"] == context.identity.fingerprint)


def _weighed(context: Context, check: Check) -> Check:
    """A warning blocks where the configuration, or --strict, says so."""
    blocks = context.strict or check.name in context.settings.quality.blocking
    return replace(check, severity="BLOCKS") if blocks and check.severity == "WARNS" else check


def _stop_at(context: Context, checks: list[Check]) -> None:
    failed = [check for check in checks if check.severity == "BLOCKS" and not check.passed]
    if failed:
        context.layout.sweep()
        volume = all(check.name == "volume" for check in failed)
        raise QualityGateError(
            "; ".join(check.detail for check in failed),
            where=f"as of {context.day}",
            left="the last publication",
            next_step="if that is right, run once with --accept-volume"
            if volume
            else f"look at data_quality in {context.layout.work_database}",
        )


def _write(context: Context, name: str) -> PublishedFile:
    """One dataset: written, read back, and named by its content."""
    written = context.layout.staging / f"{name}.parquet"
    rows = _write_checked(context, name, written)
    return stage_file(context.layout, name, context.day, written, rows)


def _write_checked(context: Context, name: str, written: Path) -> int:
    """Write a dataset and hold the file against its contract; its rows."""
    contract = PUBLISHED[name]
    rows = context.engine.write_parquet(written, name, columns=contract.column_names, order_by=contract.key)
    codes = load_codes()
    found = list(problems(written, contract, {scheme: codes.of(scheme) for scheme in codes.schemes}, rows))
    if found:
        raise QualityGateError(
            f"the table breaks its contract: {'; '.join(found)}",
            where=name,
            left="the last publication",
            next_step="this is a defect of clvpipe or of an edited rule file: report it with this message",
        )
    return rows


def _ledger_checks(context: Context, extract: str, parts: list[Part]) -> Iterator[Check]:
    """Lines in = loaded + set aside. The gate on rejects stands at each delivery, in `ingest`."""
    loaded, rejected = sum(part.loaded for part in parts), sum(part.rejected for part in parts)
    limit = context.settings.quality.maximum_reject_share.value
    yield Check(
        "reject_share",
        extract,
        "WARNS",
        rejected <= limit * (loaded + rejected),
        rejected,
        f"{limit:%} of {loaded + rejected}",
        f"{rejected} of {loaded + rejected} records of {extract} were set aside"
        + (f", most for {main_reason([part.rejects for part in parts])}" if rejected else ""),
    )
    for part in parts:
        yield Check(
            "rows_loaded",
            f"{part.source_name} {part.sha256[:12]} {extract}",
            "INFORMS",
            True,
            part.loaded,
            None,
            f"{part.loaded} loaded + {part.rejected} set aside + {part.erased} erased "
            f"= {part.loaded + part.rejected + part.erased} delivered",
        )


def _audits(context: Context) -> Iterator[Check]:
    """Every query under sql/audits; its rows are offences."""
    parameters: dict[str, Value] = {
        "as_of": context.day.isoformat(),
        "has_purchase_rules": bool(context.settings.purchases.rules),
        "default_purchase": context.settings.purchases.default.purchase,
        "maximum_lag_days": context.settings.quality.maximum_lag_days.value,
        "balance_gap_days": context.settings.balances.gap_days.value,
    }
    for name, path in sql_files().items():
        if path.parent.name != "audits":
            continue
        file = load(name)
        context.engine.create_table("offences", file.bind(parameters))
        found = context.engine.count("offences")
        severity = file.header["severity"]
        yield Check(
            name,
            file.header.get("subject", "transactions" if severity != "BLOCKS" else "publication"),
            severity,
            found == 0 or severity == "INFORMS",
            found,
            "0" if severity != "INFORMS" else None,
            file.header["what"] + (f" ({found} found)" if found > 1 else ""),
        )
    context.engine.drop("offences")


def _load_quality(context: Context, checks: list[Check]) -> None:
    contract = PUBLISHED["data_quality"]
    rows: list[tuple[Any, ...]] = [
        (context.day, c.name, c.subject, c.severity, c.passed, c.observed, c.limit, c.detail) for c in checks
    ]
    context.engine.load_rows(contract.name, table_columns(contract), rows)


def _facts(context: Context, parts: list[Part]) -> dict[str, Any]:
    """What the manifest says beside the files. Clock times and the run's id stand here and nowhere else."""
    settings = context.settings
    return {
        "schema_version": SCHEMA_VERSION,
        "as_of": context.day.isoformat(),
        "known_at": context.known_at.isoformat() if context.known_at else None,
        "run_id": context.run_id,
        "published_at": context.started_at.isoformat(),
        "code_version": code_version(),
        "identity": context.identity.fingerprint,
        "calibration": standing(context.layout, settings, context.day, context.known_at).identity,
        "config_sha256": settings.digest(),
        "config": settings.model_dump(mode="json"),
        "volume": gates.volume_of(context),
        "inputs": [
            {
                "table": part.extract,
                "name": part.source_name,
                "sha256": part.sha256,
                "rows_loaded": part.loaded,
                "rows_rejected": part.rejected,
                "rows_erased": part.erased,
            }
            for part in parts
        ],
    }


def _sentence(publication: Publication) -> str:
    what = "unchanged" if publication.unchanged else "published"
    return f"{what}: {publication.folder.name}"
