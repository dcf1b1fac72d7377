"""Extracts to typed parts to the tables of the warehouse.

Reads: the configured files, state/parts. Writes: state/parts, state/rejects, a table for each extract (empty
where it is not there), `extract_tables`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from clvpipe.contracts import WAREHOUSE
from clvpipe.contracts.extracts import EXTRACTS, KEYED
from clvpipe.contracts.warehouse import STAGED
from clvpipe.engine.duckdb_engine import table_columns
from clvpipe.errors import InputError, UsageError
from clvpipe.extracts import find_files
from clvpipe.sqlrepo import keyed_query
from clvpipe.sqlrepo.repo import Value
from clvpipe.stages.context import Context, StageResult
from clvpipe.stages.ledger import (
    Part,
    by_extract,
    delivery_order,
    is_known,
    known,
    ledger,
    main_reason,
    parts_of,
    reader_digest,
    remove_damaged,
)
from clvpipe.stages.parts import Delivery, make_part


def run(context: Context) -> StageResult:
    """Bring the ledger up to date with the configured files and load it.

    Raises:
        InputError: A file cannot be read, or there is no transaction.
        QualityGateError: A delivery is not to be trusted.
        UsageError: `known_at` without delivery dates.
    """
    if context.known_at and context.settings.inputs.transactions.extract_date is None:
        raise UsageError(
            "--known-at needs delivery dates", next_step="set inputs.transactions.extract_date in the config"
        )
    deliveries = _deliveries(context)
    fresh = [
        delivery
        for delivery in deliveries
        if not is_known(context.layout, delivery.extract.name, delivery.file, delivery.reader)
    ]
    _read(context, fresh)
    loaded = load_tables(context)
    parts = ledger(context)
    rejected = sum(part.rejected for part in parts)
    notes = [f"{len(fresh)} new of {len(parts)} files" + (f", {rejected} rows set aside" if rejected else "")]
    present = {(delivery.extract.name, delivery.file.sha256) for delivery in deliveries}
    gone = {(part.extract, part.sha256) for part in parts} - present
    if gone:
        notes.append(f"{len(gone)} earlier deliveries, no longer in the folder, stay loaded")
    return StageResult(loaded, tuple(notes), tuple(_changed_files(parts, fresh)))


def _deliveries(context: Context) -> list[Delivery]:
    """Every file that lies there, by extract."""
    base = context.config_path.parent
    return [
        Delivery(EXTRACTS[name], table, file, reader)
        for name, table in context.settings.inputs.configured.items()
        for reader in [reader_digest(context.settings, context.identity, name)]
        for file in find_files(table.files, base, table.extract_date)
    ]


def _read(context: Context, fresh: Sequence[Delivery]) -> None:
    """Make the parts of new deliveries, in order; damaged ones must not be in the way."""
    for delivery in fresh:
        remove_damaged(context.layout, delivery.extract.name, delivery.file)
    columns: dict[str, frozenset[str] | None] = {}
    for number, delivery in enumerate(fresh, 1):
        name = delivery.extract.name
        if name not in columns:
            columns[name] = _newest_columns(context, delivery)
        context.tell(f"reading {delivery.file.path.name} ({number} of {len(fresh)})")
        columns[name] = make_part(context, delivery, columns[name])


def _newest_columns(context: Context, delivery: Delivery) -> frozenset[str] | None:
    """The columns of the newest delivery so far."""
    parts = [part for part in parts_of(context, delivery.extract.name) if part.reader == delivery.reader]
    newest = max(parts, key=delivery_order, default=None)
    return newest.columns if newest else None


def load_tables(context: Context) -> dict[str, int]:
    """Make the tables of the ledger, as known by `known_at`; the rows of those that are configured.

    Raises:
        InputError: There is no transaction.
    """
    parts = by_extract(ledger(context))
    loaded = {"transactions": _load_transactions(context, parts["transactions"])}
    loaded |= {name: _load_keyed(context, name, parts.get(name, [])) for name in KEYED}
    present = {part.extract for part in known(context, [part for own in parts.values() for part in own])}
    context.engine.load_rows(
        "extract_tables",
        table_columns(WAREHOUSE["extract_tables"]),
        [(name, name in present) for name in EXTRACTS],
    )
    context.finished("ingest")
    context.reached("extracts loaded")
    return {STAGED[name].name: loaded[name] for name in context.settings.inputs.configured}


def _view(context: Context, name: str, parts: Sequence[Part]) -> None:
    context.engine.view_parquet(f"{name}_parts", [part.path for part in parts], source="source_file")


def _knowledge(context: Context, name: str) -> dict[str, Value]:
    """What bounds the rows of a table."""
    return {
        "known_at": context.known_at.isoformat() if context.known_at else None,
        "delivery": context.settings.inputs.configured[name].delivery,
    }


def _load_transactions(context: Context, parts: Sequence[Part]) -> int:
    _view(context, "transactions", parts)
    loaded = context.make("transactions", _knowledge(context, "transactions"))
    if not loaded:
        raise _nothing(context, parts)
    return loaded


def _load_keyed(context: Context, name: str, parts: Sequence[Part]) -> int:
    """The table of a keyed extract. Without parts it is empty."""
    contract = STAGED[name]
    if not parts:
        context.engine.load_rows(contract.name, table_columns(contract), [])
        return 0
    _view(context, name, parts)
    query = keyed_query(name).bind(_knowledge(context, name), contract=contract)
    return context.engine.create_table(contract.name, query)


def _nothing(context: Context, parts: Sequence[Part]) -> InputError:
    """Why there is no event at all."""
    first, _ = context.engine.extremes("transactions_parts", "extract_date")
    if context.known_at is not None and first is not None:
        return InputError(
            f"nothing had been delivered by {context.known_at}; the first delivery is of {first}",
            left="the last publication",
            next_step="choose a later day, or see all deliveries (no --known-at; backfill --restate)",
        )
    rejected, reason = sum(part.rejected for part in parts), main_reason([part.rejects for part in parts])
    why = (
        f"all {rejected} records were set aside, most for {reason}"
        if rejected
        else "the files hold no records"
    )
    return InputError(
        f"no row could be loaded: {why}",
        where=", ".join(str(part.rejects) for part in parts[:5])
        if rejected
        else ", ".join(context.settings.inputs.transactions.files),
        left="the last publication",
        next_step="check `files` in the config, or whether the delivery is whole",
    )


def _changed_files(parts: Sequence[Part], fresh: Sequence[Delivery]) -> Iterator[str]:
    """A file that came before with other content is a new delivery, and that must be said."""
    times = Counter((part.extract, part.source_name) for part in parts)
    for delivery in fresh:
        if times[delivery.extract.name, delivery.file.path.name] > 1:
            yield (
                f"{delivery.file.path.name} was delivered before with other content or date: "
                "it is a new delivery, and the earlier one stays loaded"
            )


def latest_day(context: Context) -> str | None:
    """The latest booking day in the warehouse, to suggest as `--as-of`."""
    _, latest = context.engine.extremes("transactions", "posted_on")
    return None if latest is None else str(latest)
