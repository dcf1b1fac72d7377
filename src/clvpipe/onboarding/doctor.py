"""Which extract feeds which output, what is there, what is missing, and what that costs."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clvpipe.config import Settings
from clvpipe.contracts.extracts import EXTRACTS, Extract
from clvpipe.errors import InputError
from clvpipe.extracts import SourceFile, column_sources, find_files


@dataclass(frozen=True)
class Finding:
    """What is known of one extract.

    Attributes:
        extract: Its name.
        state: `READY`, `NOT_CONFIGURED`, or `BROKEN`.
        files: Files that its globs match.
        present: Our columns that the newest file has.
        missing: Optional columns that it has not.
        feeds: The outputs that need it.
        note: What is wrong, or what is not known without it.
    """

    extract: str
    state: str
    files: int
    present: tuple[str, ...]
    missing: tuple[str, ...]
    feeds: str
    note: str

    def as_dict(self) -> dict[str, Any]:
        """As data, for `--json`."""
        return asdict(self)


def examine(settings: Settings, config_path: Path) -> list[Finding]:
    """Look at every extract; nothing is written."""
    return list(_findings(settings, config_path.absolute().parent))


def _findings(settings: Settings, base: Path) -> Iterator[Finding]:
    for name, extract in EXTRACTS.items():
        table = settings.inputs.configured.get(name)
        if table is None:
            yield Finding(name, "NOT_CONFIGURED", 0, (), (), extract.feeds, f"without it: {extract.without}")
            continue
        try:
            files = find_files(table.files, base, table.extract_date)
            sources = [column_sources(file, table, extract.columns, extract.required) for file in files]
        except InputError as error:
            place = f" ({error.where})" if error.where else ""
            yield Finding(name, "BROKEN", 0, (), (), extract.feeds, f"{error.what}{place}")
            continue
        yield _ready(extract, files, sources, settings)


def _ready(
    extract: Extract, files: list[SourceFile], sources: list[dict[str, str]], settings: Settings
) -> Finding:
    everywhere = set.intersection(*(set(found) for found in sources))
    present = tuple(name for name in extract.columns if name in everywhere)
    missing = tuple(name for name in extract.columns if name not in everywhere)
    if (
        extract.name == "transactions"
        and "transaction_type" in missing
        and not settings.purchases.default.purchase
    ):
        note = "no transaction_type, and by purchases.default nothing without one is a purchase"
        return Finding(extract.name, "BROKEN", len(files), present, missing, extract.feeds, note)
    return Finding(extract.name, "READY", len(files), present, missing, extract.feeds, "")
