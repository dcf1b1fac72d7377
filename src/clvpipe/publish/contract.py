"""What every published file must hold, read back from the file: types, keys, NULLs, bounds, codes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from clvpipe.contracts import Column, Table
from clvpipe.contracts.model import VALUE_STATUSES

POLARS_TYPES: Mapping[str, pl.DataType] = {
    "VARCHAR": pl.String(),
    "BOOLEAN": pl.Boolean(),
    "DATE": pl.Date(),
    "INTEGER": pl.Int32(),
    "BIGINT": pl.Int64(),
    "DOUBLE": pl.Float64(),
    "DECIMAL(18,2)": pl.Decimal(18, 2),
    "DECIMAL(28,8)": pl.Decimal(28, 8),
    "DECIMAL(10,1)": pl.Decimal(10, 1),
}


def problems(path: Path, table: Table, codes: Mapping[str, Sequence[str]], rows: int) -> Iterator[str]:
    """Yield a sentence for each way in which a file breaks its contract.

    Args:
        path: The Parquet file.
        table: Its contract.
        codes: The codes of every scheme.
        rows: The rows that were written.
    """
    if pq.read_metadata(path).num_rows != rows:
        yield f"{table.name}: the file has not the {rows} rows that were written"
    frame = pl.scan_parquet(path)
    schema = frame.collect_schema()
    if list(schema) != list(table.column_names):
        yield f"{table.name}: columns are not those of the contract"
        return
    mistyped = [column for column in table.columns if schema[column.name] != POLARS_TYPES[column.type]]
    if mistyped:
        for column in mistyped:
            yield f"{table.name}.{column.name}: type is {schema[column.name]}, not {column.type}"
        return
    counts = frame.select(
        pl.struct(table.key).n_unique().alias("keys"), *_counts(table.columns, codes)
    ).collect()
    if counts["keys"][0] != rows:
        yield f"{table.name}: the key {', '.join(table.key)} is not unique"
    for name in counts.columns[1:]:
        if counts[name][0]:
            yield f"{table.name}.{name.replace(':', ': ')} in {counts[name][0]} rows"


def _counts(columns: Sequence[Column], codes: Mapping[str, Sequence[str]]) -> Iterator[pl.Expr]:
    """Offending rows by column and rule, each as one expression."""
    for column in columns:
        value = pl.col(column.name)
        if column.status:
            known = pl.col(column.status).is_in(VALUE_STATUSES)
            # An optional value may be left empty by the source: then it is NULL beside OK.
            wrong = (value.is_not_null() & ~known) if column.optional else (value.is_null() == known)
            yield (wrong.sum().alias(f"{column.name}:NULL and status contradict each other"))
        elif not column.optional:
            yield value.null_count().alias(f"{column.name}:NULL where none may stand")
        if column.type == "DOUBLE":
            yield value.is_finite().not_().sum().alias(f"{column.name}:not finite")
        if column.bounds:
            yield value.is_between(*column.bounds).not_().sum().alias(f"{column.name}:out of bounds")
        if column.scheme:
            yield value.is_in(list(codes[column.scheme])).not_().sum().alias(f"{column.name}:unknown code")
        if column.name.endswith("_reason") and column.scheme:
            status = pl.col(column.name.removesuffix("_reason") + "_status")
            yield (
                (value.is_null() != (status == "OK"))
                .sum()
                .alias(f"{column.name}:reason and status contradict")
            )
