"""How the extracts are found and read."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from clvpipe.config.base import Frozen, Name
from clvpipe.contracts.extracts import EXTRACTS

_DIRECTIVES = frozenset("YymdHMSfIpbBj%")


def _checked_pattern(value: str) -> str:
    parts = value.replace("\\", "/").split("/")
    if ".." in parts or any(ord(character) < 32 for character in value):
        raise ValueError("a file pattern may not climb out of its folder (`..`) or hold control characters")
    if parts[-1] in ("", "."):
        raise ValueError("a file pattern names files, not a folder")
    return value


def _checked_format(value: str) -> str:
    directives = set(re.findall(r"%(.?)", value))
    if value != "iso" and (not directives or directives - _DIRECTIVES or not value.isprintable()):
        raise ValueError(f"`iso`, or a format of %{' %'.join(sorted(_DIRECTIVES - {'%'}))}")
    return value


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
DateFormat = Annotated[str, AfterValidator(_checked_format)]


class ExtractDate(Frozen):
    """Where a row's delivery date comes from: a column, or the file's name."""

    column: Name | None = None
    file_name: str | None = Field(default=None, description="regular expression with a group named `date`")
    format: DateFormat = "%Y-%m-%d"

    @model_validator(mode="after")
    def _one_source(self) -> "ExtractDate":
        if (self.column is None) == (self.file_name is None):
            raise ValueError("give either `column` or `file_name`")
        if self.file_name is not None:
            try:
                groups = re.compile(self.file_name).groupindex
            except re.error as error:
                raise ValueError(f"`file_name` is not a regular expression: {error}") from error
            if "date" not in groups:
                raise ValueError("`file_name` needs a group (?P<date>...)")
        return self


class TableInput(Frozen):
    """How one table's extract files are found and read."""

    files: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    columns: dict[str, Name] = Field(default_factory=dict, description="our column name -> the file's")
    column_names: tuple[Name, ...] | None = Field(default=None, description="for files without a header")
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal_mark: Literal[".", ","] = "."
    date_format: DateFormat = Field(default="iso", description="`iso` or a strptime format")
    delivery: Literal["append", "snapshot"] = "append"
    extract_date: ExtractDate | None = None

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        if value == "whitespace":
            return value
        if len(value) != 1 or not value.isascii() or value in '"\r\n':
            raise ValueError("one ASCII character (not a quote or a line end) or the word `whitespace`")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        import codecs

        try:
            info = codecs.lookup(value)
        except LookupError as error:
            raise ValueError(f"Python knows no encoding {value!r}") from error
        if not info._is_text_encoding:
            raise ValueError(f"{value!r} is not a text encoding")
        if info.incrementaldecoder is None:
            raise ValueError(f"{value!r} cannot decode a stream")
        return value

    @model_validator(mode="after")
    def _snapshot_is_dated(self) -> "TableInput":
        if self.delivery == "snapshot" and self.extract_date is None:
            raise ValueError('`delivery = "snapshot"` needs `extract_date`: a snapshot is of a date')
        return self


class Inputs(Frozen):
    """The extracts. Only transactions are required."""

    transactions: TableInput
    customers: TableInput | None = None
    holdings: TableInput | None = None
    balances: TableInput | None = None
    rates: TableInput | None = None
    costs: TableInput | None = None
    contacts: TableInput | None = None
    events: TableInput | None = None
    surveys: TableInput | None = None

    @property
    def configured(self) -> dict[str, TableInput]:
        """Those that there are, by name."""
        tables = {name: getattr(self, name) for name in EXTRACTS}
        return {name: table for name, table in tables.items() if table is not None}

    @model_validator(mode="after")
    def _known_columns(self) -> "Inputs":
        for name, table in self.configured.items():
            known = EXTRACTS[name].columns
            unknown = sorted(set(table.columns) - set(known))
            if unknown:
                raise ValueError(
                    f"{name}.columns: there is no column {unknown[0]!r}; known: {', '.join(known)}"
                )
        return self
