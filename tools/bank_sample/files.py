"""Lines to files whose bytes depend on nothing but the lines."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One file of the sample: its name, its text, its encoding."""

    name: str
    table: str
    text: str
    encoding: str = "utf-8"

    def write(self, folder: Path) -> int:
        """Write it, packed if the name says so; its size in bytes."""
        content = self.text.encode(self.encoding)
        packed = pack(content) if self.name.endswith(".gz") else content
        (folder / self.name).write_bytes(packed)
        return len(packed)


def pack(content: bytes) -> bytes:
    """Gzip without a clock and without a name."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def csv_text(columns: Sequence[str], lines: Iterable[Mapping[str, str] | Sequence[str]]) -> str:
    """A header and the lines; a sequence is written as it is, also where it is too short."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([line[name] for name in columns] if isinstance(line, Mapping) else line)
    return buffer.getvalue()


class FileCounts:
    """How many records each file has, and why some of them are to be set aside."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, object]] = {}

    def add(self, table: str, name: str, rows: int, set_aside: Counter[str]) -> None:
        """Take note of one file."""
        self.files[name] = {"table": table, "rows": rows, "set_aside": dict(sorted(set_aside.items()))}
