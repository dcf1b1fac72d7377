"""The tables: names, types, units, definitions, labels and statuses. The one source of casts and docs."""

from clvpipe.contracts.model import SCHEMA_VERSION, Column, Table, as_of_column, dictionary
from clvpipe.contracts.published import PUBLISHED
from clvpipe.contracts.warehouse import WAREHOUSE

__all__ = ["PUBLISHED", "SCHEMA_VERSION", "WAREHOUSE", "Column", "Table", "as_of_column", "dictionary"]
