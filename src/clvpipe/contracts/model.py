"""What a table and a column are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

# Of the published schema: the first number rises when readers may break, the second when something is added.
SCHEMA_VERSION = "2.0"

# Types that DuckDB, polars, pandas, pyarrow and Spark all read as the same thing.
ALLOWED_TYPES = frozenset({"VARCHAR", "BOOLEAN", "DATE", "INTEGER", "BIGINT", "DOUBLE", "TIMESTAMP"})
ALLOWED_DECIMALS = frozenset(
    {
        "DECIMAL(38,8)",
        "DECIMAL(28,8)",
        "DECIMAL(22,8)",
        "DECIMAL(18,2)",
        "DECIMAL(10,1)",
        "DECIMAL(9,8)",
        "DECIMAL(10,8)",
    }
)
MONEY = "DECIMAL(18,2)"
EXACT_MONEY = "DECIMAL(38,8)"
INPUT_MONEY = "DECIMAL(22,8)"
RATE = "DECIMAL(9,8)"

# What a rule may do with a value. What stands in no pair is a number.
Kind = Literal["boolean", "number", "text", "date"]
_KINDS: dict[str, Kind] = {"BOOLEAN": "boolean", "VARCHAR": "text", "DATE": "date", "TIMESTAMP": "date"}

# A value stands beside OK and BASELINE; every other status explains a NULL.
VALUE_STATUSES = ("OK", "BASELINE")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Lower snake case; says its unit where it has one.
        type: A DuckDB type from the allow-list.
        definition: One sentence.
        zh: The Chinese label.
        unit: `days`, `purchases`, `money`, `probability`, … or empty.
        status: The column whose code explains a NULL here; empty if NULL never stands here.
        optional: NULL is an ordinary value here (an open end); with a status, also beside OK.
        scheme: For codes: the scheme in the dataset `codes` that the values come from.
        bounds: Inclusive range of a number, where there is one.
    """

    name: str
    type: str
    definition: str
    zh: str = ""
    unit: str = ""
    status: str = ""
    optional: bool = False
    scheme: str = ""
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.type not in ALLOWED_TYPES | ALLOWED_DECIMALS:
            raise ValueError(f"{self.name}: type {self.type} is not in the allow-list")

    @property
    def kind(self) -> Kind:
        """What a rule may do with the column."""
        return _KINDS.get(self.type, "number")


@dataclass(frozen=True)
class Table:
    """A table: its grain, its key, its columns in order.

    Attributes:
        name: The table's and the SQL file's name.
        grain: What one row is.
        key: Columns that identify a row; rows are written in their order.
        columns: In published order.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


def as_of_column() -> Column:
    """The date that every published dataset carries."""
    return Column("as_of_date", "DATE", "The last day, inclusive, whose events are seen.", "截止日期")


def dictionary(tables: Iterable[Table]) -> dict[str, Any]:
    """The data dictionary as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "datasets": {
            table.name: {
                "grain": table.grain,
                "key": list(table.key),
                "columns": [
                    {
                        "name": column.name,
                        "type": column.type,
                        "unit": column.unit or None,
                        "definition": column.definition,
                        "label_zh": column.zh or None,
                        "status_column": column.status or None,
                        "nullable": bool(column.status) or column.optional,
                        "code_scheme": column.scheme or None,
                    }
                    for column in table.columns
                ],
            }
            for table in tables
        },
    }
