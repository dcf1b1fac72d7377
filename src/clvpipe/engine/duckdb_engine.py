"""DuckDB behind the few verbs that the stages need. Sessions are set up so that results do not vary."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
from sqlglot import expressions as exp

from clvpipe.contracts import Table
from clvpipe.errors import ClvpipeError, InputError, StorageError
from clvpipe.sqlrepo import Query
from clvpipe.sqlrepo.repo import cast_to

ROW_GROUP_ROWS = 122_880
_INSERT_ROWS = 500


class Engine:
    """One connection to one database file.

    Args:
        database: The file, made if missing.
        folders: The engine reads and writes nothing outside them, and this cannot be unset.
        temp_directory: Where DuckDB may spill.
        threads: Worker threads; the results do not depend on it.
        memory: Upper bound such as `2GB`, beyond which it spills; None: most of the machine.

    Raises:
        StorageError: The file cannot be opened.
    """

    def __init__(
        self,
        database: Path,
        *,
        folders: Sequence[Path],
        temp_directory: Path,
        threads: int,
        memory: str | None = None,
    ) -> None:
        self.database = database
        config: dict[str, Any] = {"threads": threads, "temp_directory": str(temp_directory)}
        if memory is not None:
            config["memory_limit"] = memory
        try:
            self._connection = duckdb.connect(str(database), config=config)
        except duckdb.Error as error:
            raise StorageError(
                "the warehouse cannot be opened",
                where=str(database),
                next_step="close other programs that have it open for writing, or check the disk",
            ) from error
        allowed = ", ".join(_literal(str(folder)) for folder in folders)
        for statement in (
            "SET TimeZone = 'UTC'",
            "SET enable_progress_bar = false",
            "SET preserve_insertion_order = true",
            f"SET allowed_directories = [{allowed}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._execute(statement)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def create_table(self, name: str, query: Query, *, temporary: bool = False) -> int:
        """Make (or remake) a table from a query; its rows. A temporary one leaves no trace in the file."""
        kind = "TEMP TABLE" if temporary else "TABLE"
        self._execute(f"CREATE OR REPLACE {kind} {_identifier(name)} AS {query.sql}", query.parameters)
        return self.count(name)

    def load_rows(
        self,
        name: str,
        columns: Mapping[str, str],
        rows: Sequence[Sequence[Any]],
        *,
        temporary: bool = False,
    ) -> None:
        """Make a small table from rows; every value is bound. A temporary one leaves no trace in the file."""
        types = ", ".join(f"{_identifier(column)} {kind}" for column, kind in columns.items())
        kind = "TEMP TABLE" if temporary else "TABLE"
        self._execute(f"CREATE OR REPLACE {kind} {_identifier(name)} ({types})")
        marks = f"({', '.join('?' for _ in columns)})"
        for start in range(0, len(rows), _INSERT_ROWS):
            chunk = rows[start : start + _INSERT_ROWS]
            values = [value for row in chunk for value in row]
            with _translated():
                self._connection.execute(
                    f"INSERT INTO {_identifier(name)} VALUES {', '.join(marks for _ in chunk)}", values
                )

    def load_arrow(self, name: str, table: pa.Table, contract: Table) -> int:
        """Make a table from Arrow, cast to its contract; its rows."""
        source = f"arrow_{name}"
        with _translated():
            self._connection.register(source, table)
        columns = exp.select(*(exp.column(column) for column in contract.column_names)).from_(source)
        query = cast_to(contract, columns).sql(dialect="duckdb")
        try:
            self._execute(f"CREATE OR REPLACE TABLE {_identifier(name)} AS {query}")
        finally:
            self._connection.unregister(source)
        return self.count(name)

    def view_parquet(self, name: str, paths: Sequence[Path], *, source: str | None = None) -> None:
        """Make a temporary view over Parquet files, optionally with a column that names each row's file."""
        files = ", ".join(_literal(str(path)) for path in paths)
        flag = f", filename = {_literal(source)}" if source else ""
        columns = (
            f"* REPLACE (parse_filename({_identifier(source)}) AS {_identifier(source)})" if source else "*"
        )
        self._execute(
            f"CREATE OR REPLACE TEMP VIEW {_identifier(name)} AS "
            f"SELECT {columns} FROM read_parquet([{files}]{flag})"
        )

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        return self._execute(query.sql, query.parameters).fetchall()

    def frame(self, query: Query) -> pl.DataFrame:
        """A result as a polars frame."""
        with _translated():
            frame = pl.from_arrow(self._relation(query).to_arrow_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def ordered(self, table: str, columns: Sequence[str], *, by: Sequence[str]) -> pl.DataFrame:
        """Columns of a whole table, in an order that leaves no tie open."""
        select = exp.select(*(exp.column(name, quoted=True) for name in columns)).from_(exp.to_table(table))
        select = select.order_by(*(exp.column(name, quoted=True).asc(nulls_first=True) for name in by))
        return self.frame(Query(select.sql(dialect="duckdb"), {}))

    def extremes(self, table: str, column: str) -> tuple[Any, Any]:
        """The least and the greatest value of a column; None where it has none."""
        name = _identifier(column)
        return self._execute(f"SELECT min({name}), max({name}) FROM {_identifier(table)}").fetchall()[0]

    def batches(self, query: Query, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """A result as a stream of Arrow batches."""
        with _translated():
            yield from self._relation(query).to_arrow_reader(batch_rows)

    def count(self, table: str) -> int:
        """Rows of a table."""
        return int(self._execute(f"SELECT count(*) FROM {_identifier(table)}").fetchall()[0][0])

    def has_table(self, name: str) -> bool:
        """Whether the warehouse holds the table."""
        found = self._execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_name = $name", {"name": name}
        ).fetchall()
        return bool(found[0][0])

    def drop(self, *tables: str) -> None:
        """Drop tables or views that are no longer needed."""
        for name in tables:
            self._execute(f"DROP TABLE IF EXISTS {_identifier(name)}")

    def drop_rows_of(
        self, erased: str, column: str, *, source: str, target: str, blank: Sequence[str] = ()
    ) -> None:
        """Make a temporary table of the rows of another whose `column` is not in the table `erased`.

        Columns in `blank` are NULL where their value is in it.
        """
        rows = _rows_without(exp.to_table(source), list(self.describe(source)), erased, column, blank)
        self._execute(f"CREATE OR REPLACE TEMP TABLE {_identifier(target)} AS {rows.sql(dialect='duckdb')}")

    def replace_values(
        self, source: str, *, target: str, values: Mapping[str, Any], where: tuple[str, str]
    ) -> None:
        """Make a temporary table like another, with values set where a column has a text."""
        self._execute(
            f"CREATE OR REPLACE TEMP TABLE {_identifier(target)} AS SELECT * FROM {_identifier(source)}"
        )
        settings = ", ".join(f"{_identifier(column)} = ${column}" for column in values)
        self._execute(
            f"UPDATE {_identifier(target)} SET {settings} WHERE {_identifier(where[0])} = $text",
            {**values, "text": where[1]},
        )

    def can_read(self, database: Path) -> bool:
        """Whether a file is a database that can be read."""
        try:
            with self._attached(database):
                return True
        except (ClvpipeError, duckdb.Error):
            return False

    def distinct(self, database: Path, names: Sequence[str]) -> set[str]:
        """The texts that columns of these names have in any table of another database file."""
        with self._attached(database) as tables:
            return {
                str(row[0])
                for name, columns in tables.items()
                for column in names
                if column in columns
                for row in self._execute(
                    f"SELECT DISTINCT {_identifier(column)} FROM source.{_identifier(name)} "
                    f"WHERE {_identifier(column)} IS NOT NULL"
                ).fetchall()
            }

    def copy_tables(self, database: Path, *, without: str, column: str, blank: Sequence[str]) -> None:
        """Copy all tables of another database file, but for what `drop_rows_of` takes away."""
        with self._attached(database) as tables:
            for name, columns in tables.items():
                rows = _rows_without(exp.to_table(f"source.{name}"), columns, without, column, blank)
                self._execute(f"CREATE TABLE {_identifier(name)} AS {rows.sql(dialect='duckdb')}")

    @contextmanager
    def _attached(self, database: Path) -> Iterator[dict[str, list[str]]]:
        """Another database file as `source`, to be read: its tables and their columns."""
        self._execute(f"ATTACH {_literal(str(database))} AS source (READ_ONLY)")
        try:
            found = self._execute(
                "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
                "WHERE database_name = 'source' GROUP BY table_name ORDER BY table_name"
            ).fetchall()
            yield dict(found)
        finally:
            self._execute("DETACH source")

    def write_parquet(
        self,
        path: Path,
        table: str,
        *,
        columns: Sequence[str],
        order_by: Sequence[str],
        where_null: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Write columns of a table, in a fixed order, as one Parquet file; its number of rows."""
        select = exp.select(*(exp.column(name, quoted=True) for name in columns)).from_(exp.to_table(table))
        if where_null:
            select = select.where(exp.column(where_null).is_(exp.null()))
        select = select.order_by(*(exp.column(name, quoted=True).asc(nulls_first=True) for name in order_by))
        extra = f", KV_METADATA {{clvpipe: {_literal(json.dumps(metadata))}}}" if metadata else ""
        result = self._execute(
            f"COPY ({select.sql(dialect='duckdb')}) TO {_literal(str(path))} "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS}{extra})"
        ).fetchall()
        return int(result[0][0])

    def checkpoint(self) -> None:
        """Write everything into the database file, so that closing it has nothing left to do.

        Raises:
            StorageError: There is no room.
        """
        self._execute("CHECKPOINT")

    def interrupt(self) -> None:
        """Stop the query that another thread is waiting for, unless it has closed the session meanwhile."""
        with suppress(duckdb.ConnectionException):
            self._connection.interrupt()

    def describe(self, table: str) -> dict[str, str]:
        """Column names and types of a table or view."""
        return {row[0]: row[1] for row in self._execute(f"DESCRIBE {_identifier(table)}").fetchall()}

    def _relation(self, query: Query) -> duckdb.DuckDBPyRelation:
        return self._connection.sql(query.sql, params=dict(query.parameters))

    def _execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        with _translated():
            return self._connection.execute(sql, dict(parameters) if parameters else None)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn DuckDB's errors into ours. Its messages may quote values, so they stay out of the sentence."""
    try:
        yield
    except (
        duckdb.IOException,
        duckdb.OutOfMemoryException,
        duckdb.FatalException,
        duckdb.PermissionException,
        # With one connection there is nobody to conflict with: a commit fails when its log cannot be written.
        duckdb.TransactionException,
        duckdb.SerializationException,
    ) as error:
        raise _storage(error) from None
    except (duckdb.ConversionException, duckdb.OutOfRangeException):
        raise InputError(
            "a number in the data is beyond what the tables can hold",
            left="the last publication",
            next_step="look for extreme amounts in the newest extracts",
        ) from None
    except duckdb.Error as error:
        # What has no class of its own comes from files that do not hold what they promise.
        if type(error) is not duckdb.Error:
            raise
        raise _storage(error) from None


def _storage(error: duckdb.Error) -> ClvpipeError:
    return StorageError(
        f"the engine could not use the disk or the memory ({type(error).__name__})",
        left="the last publication",
        next_step="free disk space, or give the job more memory (--memory) or fewer --threads, and run again",
    )


def _rows_without(
    source: exp.Table, columns: Sequence[str], erased: str, column: str, blank: Sequence[str]
) -> exp.Select:
    ids = exp.select(exp.column(column, quoted=True)).from_(exp.to_table(erased))

    def is_erased(name: str) -> exp.Expr:
        return exp.column(name, quoted=True).isin(query=ids.copy())

    def kept(name: str) -> exp.Expr:
        value = exp.column(name, quoted=True)
        if name not in blank:
            return value
        return exp.alias_(exp.Case().when(is_erased(name), exp.null()).else_(value), name, quoted=True)

    rows = exp.select(*map(kept, columns)).from_(source)
    return rows.where(is_erased(column).not_()) if column in columns else rows


def _identifier(name: str) -> str:
    """Quote an identifier; only names that clvpipe itself gives reach this, and they are checked anyway."""
    if not name.isidentifier():
        raise ValueError(f"not an identifier: {name!r}")
    return f'"{name}"'


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="duckdb")


def table_columns(contract: Table) -> dict[str, str]:
    """Names and types of a contract, as `load_rows` takes them."""
    return {column.name: column.type for column in contract.columns}
