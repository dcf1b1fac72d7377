"""Whether what has been published is still what it was: every kept version, file by file, and `current`.

It takes no lock and changes nothing; a version that is pruned meanwhile is no problem.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clvpipe.errors import StorageError
from clvpipe.publish.files import sha256_of
from clvpipe.publish.layout import Layout
from clvpipe.publish.versions import (
    DICTIONARY,
    MANIFEST,
    PublishedFile,
    files_of,
    read_dictionary,
    read_manifest,
    strangers,
    version_name,
)

_DATASET = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was published. `where` is relative to the output folder."""

    where: str
    what: str


@dataclass(frozen=True)
class CheckedVersion:
    """A version that was looked through.

    Attributes:
        name: Of its folder.
        files: How many its manifest lists.
        bytes: Their size as listed.
        problems: What is wrong with it.
    """

    name: str
    files: int
    bytes: int
    problems: tuple[Problem, ...]


@dataclass
class Digests:
    """SHA-256 of files, each inode read once: versions share their history by hard links."""

    _known: dict[tuple[int, int, int, int], str] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """Hex digest of a file."""
        facts = path.stat()
        key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if key not in self._known:
            self._known[key] = sha256_of(path)
        return self._known[key]


def check_versions(layout: Layout) -> Iterator[CheckedVersion]:
    """Look through every kept version, the newest day first."""
    digests = Digests()
    folders = sorted(layout.versions.iterdir(), reverse=True) if layout.versions.is_dir() else []
    for folder in folders:
        checked = check_version(folder, digests)
        if not checked.problems or os.path.lexists(folder):
            yield checked


def check_version(folder: Path, digests: Digests) -> CheckedVersion:
    """Look through one version."""
    try:
        manifest = read_manifest(folder)
        files = files_of(manifest)
        found = [
            *_name_problems(folder, manifest, files),
            *(problem for file in files for problem in _file_problems(folder, file, digests)),
            *_dictionary_problems(folder, files),
            *(_problem(folder, inside, "does not belong here") for inside in strangers(folder, files)),
        ]
        return CheckedVersion(folder.name, len(files), sum(file.bytes for file in files), tuple(found))
    except StorageError as error:
        problem = _problem(folder, MANIFEST, error.what)
    except (KeyError, TypeError, AttributeError):
        problem = _problem(folder, MANIFEST, "the manifest is damaged")
    except OSError as error:
        problem = _problem(folder, "", f"cannot be read ({type(error).__name__})")
    return CheckedVersion(folder.name, 0, 0, (problem,))


def check_current(layout: Layout) -> Iterator[Problem]:
    """`current` is a symlink to a kept version. A version that is swapped meanwhile is looked at again."""
    name = layout.current.name
    target = None
    while layout.current.is_symlink() and target != layout.current.readlink():
        target = layout.current.readlink()
        if (layout.current / MANIFEST).is_file():
            break
    if target is None:
        yield Problem(name, "is no symlink" if layout.current.exists() else "missing")
    elif layout.current.resolve().parent != layout.versions.resolve():
        yield Problem(name, f"points to {target}, which is no version")
    elif not (layout.current / MANIFEST).is_file():
        yield Problem(name, f"points to {target}, which is not there")


def _name_problems(
    folder: Path, manifest: Mapping[str, Any], files: list[PublishedFile]
) -> Iterator[Problem]:
    name = version_name(manifest["as_of"], files)
    if folder.name != name:
        yield _problem(folder, MANIFEST, f"its files make the version {name}")
    if manifest["version"] != folder.name:
        yield _problem(folder, MANIFEST, "names another version")


def _file_problems(folder: Path, file: PublishedFile, digests: Digests) -> Iterator[Problem]:
    if not _is_ours(file):
        yield _problem(folder, MANIFEST, f"lists {file.path!r}, which is no name of a published file")
        return
    path = folder / file.path
    try:
        if not path.is_file():
            yield _problem(folder, file.path, "missing")
        elif path.stat().st_size != file.bytes:
            yield _problem(folder, file.path, f"has {path.stat().st_size} bytes, not {file.bytes}")
        elif digests.of(path) != file.sha256:
            yield _problem(folder, file.path, "its bytes are not those that were published")
        elif pq.read_metadata(path).num_rows != file.rows:
            yield _problem(folder, MANIFEST, f"gives {file.path} {file.rows} rows, which it has not")
    except (OSError, pa.ArrowException) as error:
        yield _problem(folder, file.path, f"cannot be read ({type(error).__name__})")


def _is_ours(file: PublishedFile) -> bool:
    """Whether the path is the one that the file's dataset and content give it."""
    return (
        bool(_DATASET.fullmatch(file.dataset))
        and re.fullmatch(rf"data/{file.dataset}/{file.dataset}-([0-9a-f]{{12}})\.parquet", file.path)
        is not None
        and file.path.endswith(f"-{file.sha256[:12]}.parquet")
    )


def _dictionary_problems(folder: Path, files: list[PublishedFile]) -> Iterator[Problem]:
    try:
        missing = {file.dataset for file in files} - set(read_dictionary(folder)["datasets"])
    except StorageError:
        yield _problem(folder, DICTIONARY, "missing or damaged")
        return
    if missing:
        yield _problem(folder, DICTIONARY, f"does not explain {', '.join(sorted(missing))}")


def _problem(folder: Path, inside: str, what: str) -> Problem:
    return Problem(f"{folder.parent.name}/{folder.name}/{inside}", what)
