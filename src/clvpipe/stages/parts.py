"""One delivered file to its part in the ledger: read, without the erased, by pseudonym, typed, and gated."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clvpipe.config import TableInput
from clvpipe.contracts.extracts import CUSTOMER, EXTRACT_DATE, MENTIONS, Extract
from clvpipe.contracts.warehouse import part_columns, typed_table
from clvpipe.errors import ClvpipeError, InputError, QualityGateError
from clvpipe.extracts import FileRecords, SourceFile, read_records
from clvpipe.extracts.records import LINE
from clvpipe.publish.files import make_durable
from clvpipe.sqlrepo import load, typing_parameters, typing_query
from clvpipe.sqlrepo.repo import Value
from clvpipe.sqlrepo.typed import RAW, TYPED
from clvpipe.stages.context import Context
from clvpipe.stages.ledger import drift, main_reason

STAGED_REJECTS = "rejects.parquet"
REJECT_COLUMNS = ("table_name", "file_name", "line", "column_name", "reason", "raw")


@dataclass(frozen=True)
class Delivery:
    """A file that is to be read.

    Attributes:
        extract: What it is of.
        table: How it is written.
        file: The file.
        reader: Digest of how it is read.
    """

    extract: Extract
    table: TableInput
    file: SourceFile
    reader: str

    @property
    def date_column(self) -> str | None:
        """The file's column that says when a row was delivered."""
        return self.table.extract_date.column if self.table.extract_date else None


def make_part(context: Context, delivery: Delivery, before: frozenset[str] | None) -> frozenset[str]:
    """Type one file; its columns. The rejects come first and the part last: a part in its place is whole.

    Args:
        context: The run.
        delivery: The file.
        before: The columns of the delivery before it.

    Raises:
        InputError: It cannot be read to its end, or is an empty snapshot.
        QualityGateError: Too many of its records were set aside, or its columns are not those before.
    """
    engine, layout = context.engine, context.layout
    extract, file = delivery.extract, delivery.file
    raw = layout.work / "raw.parquet"
    records, delivered, erased = _write_raw(context, delivery, raw)
    columns = frozenset(records.names)
    _gate_columns(context, file, before, columns)
    engine.view_parquet(RAW, [raw])
    keeps_text = _keeps_text(context)
    engine.load_rows(
        "shape_rejects",
        {"line": "BIGINT", "reason": "VARCHAR", "raw": "VARCHAR"},
        [(reject.line, reject.reason, reject.text if keeps_text else None) for reject in records.rejects],
        temporary=True,
    )
    parameters = _parameters(context, delivery, records)
    typing = typing_query(extract.name).bind(parameters, contract=typed_table(extract))
    engine.create_table(TYPED, typing, temporary=True)
    engine.create_table("part_rejects", load("part_rejects").bind(parameters), temporary=True)
    staged_rejects, staged_part = layout.work / STAGED_REJECTS, layout.work / "part.parquet"
    rejected = engine.write_parquet(
        staged_rejects,
        "part_rejects",
        columns=REJECT_COLUMNS,
        order_by=("line", "reason"),
        metadata={"reader": delivery.reader},
    )
    [(first,)] = engine.rows(load("first_delivery").bind({}))
    delivered_on = first or file.extract_date
    loaded = engine.write_parquet(
        staged_part,
        TYPED,
        columns=part_columns(extract),
        order_by=("line",),
        where_null="reject_reason",
        metadata={
            "source": file.path.name,
            "reader": delivery.reader,
            "columns": sorted(columns),
            "delivered_on": delivered_on.isoformat() if delivered_on else None,
            "erased": erased,
            "identity": context.identity.fingerprint,
        },
    )
    if loaded + rejected != delivered + len(records.rejects):
        raise InputError(
            "records read and records accounted for differ",
            where=str(file.path),
            left="the last publication; nothing of this file is loaded",
            next_step="this is a defect of clvpipe: report it, and how the file is written",
        )
    rejects = layout.rejects(extract.name) / file.part_name
    refused = rejects.with_name(f"refused-{rejects.name}")
    try:
        _gate(context, delivery, loaded + erased, rejected, refused)
    except ClvpipeError:
        # Not in the place of those of a part that stands: the file may have been read otherwise before.
        make_durable(staged_rejects, refused)
        raise
    make_durable(staged_rejects, rejects)
    context.reached("rejects kept")
    make_durable(staged_part, layout.parts(extract.name) / file.part_name)
    refused.unlink(missing_ok=True)
    context.reached("part kept")
    engine.drop(TYPED, "part_rejects", "shape_rejects")
    raw.unlink()
    return columns


def _parameters(context: Context, delivery: Delivery, records: FileRecords) -> dict[str, Value]:
    """What the typing asks for."""
    table = delivery.table
    dated = table.extract_date
    written = dated.format if dated and dated.column else "iso"
    return {
        **typing_parameters(
            delivery.extract,
            typed=records.typed,
            date_format=table.date_format,
            delivery_format="iso" if written == "%Y-%m-%d" else written,
            decimal_mark=table.decimal_mark,
        ),
        "timezone": context.settings.timezone,
        "currency": context.settings.currency,
        "has_currency": "currency" in records.present,
        "has_extract_date": dated is not None,
        "table_name": delivery.extract.name,
        "file_name": delivery.file.path.name,
        "keep_raw": _keeps_text(context),
    }


def _write_raw(context: Context, delivery: Delivery, target: Path) -> tuple[FileRecords, int, int]:
    """The records as text, by our names; how many have the right shape, and how many were erased."""
    records = _open(delivery)
    rows, erased = 0, 0
    names = [field.name for field in delivery.extract.read_fields]
    schema = pa.schema([(LINE, pa.int64()), *((name, pa.string()) for name in names)])
    day = delivery.file.extract_date.isoformat() if delivery.file.extract_date else None
    with pq.ParquetWriter(target, schema, compression="lz4") as writer:
        for batch in records.batches:
            kept = _without_erased(context, batch)
            erased += batch.num_rows - kept.num_rows
            rows += kept.num_rows
            columns = {name: kept.column(name) for name in kept.schema.names}
            for name in delivery.extract.identifiers:
                columns[name] = context.identity.identify(columns[name])
            columns.setdefault(EXTRACT_DATE.name, pa.array([day] * kept.num_rows, pa.string()))
            writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=schema))
    return records, rows, erased


def _open(delivery: Delivery) -> FileRecords:
    extract, table = delivery.extract, delivery.table
    if delivery.date_column is None:
        return read_records(delivery.file, table, extract.columns, extract.required)
    columns = {**table.columns, EXTRACT_DATE.name: delivery.date_column}
    return read_records(
        delivery.file,
        table.model_copy(update={"columns": columns}),
        (*extract.columns, EXTRACT_DATE.name),
        (*extract.required, EXTRACT_DATE.name),
    )


def _without_erased(context: Context, batch: pa.RecordBatch) -> pa.RecordBatch:
    """A later delivery does not bring back who was erased, and nobody is said to have come by them."""
    if not context.tombstones.macs:
        return batch
    if CUSTOMER in batch.schema.names:
        batch = batch.filter(pc.invert(context.tombstones.mask(batch.column(CUSTOMER))))
    for name in _mentions(batch):
        column = batch.column(name)
        blank = pc.if_else(context.tombstones.mask(column), pa.scalar(None, pa.string()), column)
        batch = batch.set_column(batch.schema.get_field_index(name), name, blank)
    return batch


def _mentions(batch: pa.RecordBatch) -> Iterator[str]:
    return (name for name in MENTIONS if name in batch.schema.names)


def _keeps_text(context: Context) -> bool:
    """Whether the text of rejected records is kept, for who has to mend them.

    Not where there are pseudonyms, which it would undo, nor where customers were erased, whom it might name.
    """
    return context.identity.method == "plain" and not context.tombstones.macs


def _gate_columns(
    context: Context, file: SourceFile, before: frozenset[str] | None, columns: frozenset[str]
) -> None:
    """Where columns are frozen, a delivery with others stays out of the ledger."""
    found = drift(before, columns) if before is not None else ""
    if found and context.settings.quality.schema_drift == "freeze":
        raise QualityGateError(
            f"the file has other columns than the delivery before: {found}",
            where=str(file.path),
            left="the last publication; nothing of this file is loaded",
            next_step='mend the file; or let it pass once with `schema_drift = "evolve"` under [quality]',
        )


def _gate(context: Context, delivery: Delivery, good: int, rejected: int, rejects: Path) -> None:
    """Keep a delivery that is not to be trusted out of the ledger; a mended one simply takes its place."""
    limit = context.settings.quality.maximum_reject_share.value
    reason = main_reason([context.layout.work / STAGED_REJECTS])
    if rejected > limit * (good + rejected):
        raise QualityGateError(
            f"{rejected} of {good + rejected} records were set aside, most for {reason}; "
            f"allowed are {limit:.2%} of a delivery",
            where=str(delivery.file.path),
            left="the last publication; nothing of this file is loaded",
            next_step=f"mend the file or the settings; the records with their lines are in {rejects}",
        )
    if not good and delivery.table.delivery == "snapshot":
        raise InputError(
            "a snapshot without records would empty the table",
            where=str(delivery.file.path),
            left="the last publication; nothing of this file is loaded",
            next_step="ask for the file again, or take it out of the folder",
        )
