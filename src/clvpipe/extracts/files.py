"""Which files there are, what they contain by hash, and their bytes unpacked."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from clvpipe.config.inputs import ExtractDate
from clvpipe.errors import InputError
from clvpipe.locations import package_file, resource_dir

_BLOCK_BYTES = 1 << 20
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class SourceFile:
    """One delivered file.

    Attributes:
        path: Where it lies.
        sha256: Of its bytes as delivered; it is the file's identity, whatever its name.
        extract_date: From its name, where config says so.
    """

    path: Path
    sha256: str
    extract_date: date | None

    @property
    def part_name(self) -> str:
        """Name of its typed part: content, and the delivery date where the file's name gives one.

        The same bytes delivered again on another day are another delivery: they may undo a correction.
        """
        dated = f"-{self.extract_date:%Y%m%d}" if self.extract_date else ""
        return f"{self.sha256}{dated}.parquet"

    @property
    def is_parquet(self) -> bool:
        """Whether the name says Parquet."""
        return self.path.suffix.lower() == ".parquet"

    def open(self) -> BinaryIO:
        """A stream of its bytes, unpacked by the suffix `.gz` or `.zst`."""
        compression = _COMPRESSION.get(self.path.suffix.lower())
        if compression is None:
            return self.path.open("rb")
        return cast(BinaryIO, pa.CompressedInputStream(pa.OSFile(str(self.path)), compression))


def find_files(patterns: Sequence[str], base: Path, dated: ExtractDate | None) -> list[SourceFile]:
    """The files that the patterns match, each delivery once, in order of their names.

    Args:
        patterns: Globs relative to `base`, absolute globs, `package:NAME/path`, or `sample:` and a glob
            in the shipped sample.
        base: The folder of the config file.
        dated: Where the delivery date comes from.

    Raises:
        InputError: A pattern matches nothing, a file cannot be read, or its name holds no date.
    """
    files: dict[str, SourceFile] = {}
    for pattern in patterns:
        paths = _expand(pattern, base)
        if not paths:
            raise InputError(
                "no file matches",
                where=f"{pattern} (looked in {base})",
                left="everything",
                next_step="check `files` in the config, or whether the delivery arrived",
            )
        for path in paths:
            file = SourceFile(path, _sha256(path), _date_in_name(path, dated))
            files.setdefault(file.part_name, file)
    return list(files.values())


def _expand(pattern: str, base: Path) -> list[Path]:
    if pattern.startswith("package:"):
        return [package_file(pattern)]
    if pattern.startswith("sample:"):
        base, pattern = resource_dir("sample"), pattern.removeprefix("sample:")
    if Path(pattern).is_absolute():
        base, pattern = Path(Path(pattern).anchor), str(Path(pattern).relative_to(Path(pattern).anchor))
    if (base / pattern).is_file():
        return [base / pattern]
    found = sorted(path for path in base.glob(pattern) if path.name[0] != "." and not path.is_dir())
    for path in found:
        _must_be_readable(path)
    return found


def _must_be_readable(path: Path) -> None:
    """A delivery that cannot be read is none that may be passed over."""
    shown = os.fsencode(path).decode("utf-8", "replace")
    if not path.is_file():
        raise InputError(
            "is no ordinary file, or a link to nothing",
            where=shown,
            left="everything",
            next_step="mend the delivery, or take it out of the folder",
        )
    if shown != str(path):
        raise InputError(
            "the file's name is not valid UTF-8", where=shown, left="everything", next_step="rename the file"
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), left="everything") from error


def _date_in_name(path: Path, dated: ExtractDate | None) -> date | None:
    if dated is None or dated.file_name is None:
        return None
    match = re.search(dated.file_name, path.name)
    try:
        return datetime.strptime(match["date"] if match else "", dated.format).date()
    except ValueError as error:
        raise InputError(
            "the file's name holds no extract date",
            where=str(path),
            left="everything",
            next_step="rename the file, or mend `extract_date` in the config",
        ) from error


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The stream in blocks."""
    while block := stream.read(_BLOCK_BYTES):
        yield block
