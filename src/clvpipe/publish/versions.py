"""A version of the publication: staged files, manifest, and the one step that makes it current.

versions/<as_of>-<hash>/{manifest.json, dictionary.json, data/<dataset>/<dataset>-<content hash>.parquet}
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from clvpipe.contracts import PUBLISHED, dictionary
from clvpipe.errors import DamagedError, InputError, StorageError, storage_refuses
from clvpipe.publish.files import link_or_copy, sha256_of, sync_directory, sync_file
from clvpipe.publish.layout import PUBLIC_DIRECTORY, PUBLIC_FILE, Layout

MANIFEST = "manifest.json"
DICTIONARY = "dictionary.json"
# Of the manifest; rises when a later clvpipe could not read what an earlier one wrote, or the reverse.
FORMAT = 2
_KEYS = frozenset({"version", "sequence", "as_of", "known_at", "identity", "volume", "supersedes", "files"})
_HASH_LENGTH = 12

Reached = Callable[[str], None]


@dataclass(frozen=True)
class PublishedFile:
    """One file of a version, as the manifest lists it.

    Attributes:
        dataset: Its dataset.
        path: Relative to the version's folder.
        as_of_date: The day that its rows are of.
        rows: Rows.
        bytes: Size.
        sha256: Of its bytes.
        erased: Rows of customers who were erased after it had been published.
    """

    dataset: str
    path: str
    as_of_date: str
    rows: int
    bytes: int
    sha256: str
    erased: int = 0


@dataclass(frozen=True)
class Publication:
    """What came of publishing.

    Attributes:
        folder: The version's folder.
        unchanged: The same content had been published before.
        is_current: Whether `current` points to it (a backfilled day does not move it back).
        before: What `current` pointed to until now.
    """

    folder: Path
    unchanged: bool
    is_current: bool
    before: Path | None


def clear_staging(layout: Layout) -> None:
    """Sweep what an interrupted run left, and start afresh."""
    layout.sweep()
    (layout.staging / "data").mkdir(parents=True)


def stage_file(layout: Layout, dataset: str, day: date, written: Path, rows: int) -> PublishedFile:
    """Give a written file its name by content, inside the staging folder."""
    digest = sha256_of(written)
    target = _staged(layout, dataset) / f"{dataset}-{digest[:_HASH_LENGTH]}.parquet"
    written.replace(target)
    return PublishedFile(
        dataset, _relative(layout, target), day.isoformat(), rows, target.stat().st_size, digest
    )


def sound_file(version: Path, file: PublishedFile) -> Path:
    """A file of a version, once its bytes have been found to be those of the manifest.

    Raises:
        DamagedError: They are not, or it is missing.
    """
    path = version / file.path
    if not path.is_file() or sha256_of(path) != file.sha256:
        raise DamagedError(
            f"a published file of {file.dataset} is missing or damaged",
            where=str(path),
            left="the last publication",
            next_step="clvpipe verify says what else is; a run of the version's day makes it anew",
        )
    return path


def link_file(layout: Layout, file: PublishedFile, source: Path) -> PublishedFile:
    """Take a sound file of an earlier version along: its bytes under a second name, or a copy of them."""
    link_or_copy(source, _staged(layout, file.dataset) / source.name)
    return file


def publish(
    layout: Layout,
    as_of: date,
    files: Sequence[PublishedFile],
    facts: Mapping[str, Any],
    reached: Reached = lambda _: None,
) -> Publication:
    """Turn the staged files into a version and make it current, in one step that readers can see.

    Raises:
        StorageError: The file system refuses.
    """
    write_json(layout.staging / DICTIONARY, dictionary(PUBLISHED.values()))
    earlier = readable_versions(layout)
    # Publications are counted, not dated: a clock may go back.
    sequence = 1 + (read_manifest(earlier[0])["sequence"] if earlier else 0)
    numbered = {"format": FORMAT, "sequence": sequence, "supersedes": [], **facts}
    folder = settle_version(layout, as_of, files, numbered, reached)
    unchanged = layout.staging.exists()
    if unchanged:
        shutil.rmtree(layout.staging)
    before = layout.current.resolve() if layout.current.exists() else None
    is_current = _make_current(layout, folder)
    reached("current swapped")
    return Publication(folder, unchanged, is_current, before)


def settle_version(
    layout: Layout,
    as_of: date,
    files: Sequence[PublishedFile],
    facts: Mapping[str, Any],
    reached: Reached = lambda _: None,
) -> Path:
    """Write the manifest and give the staged version its name; `current` is not moved.

    Returns:
        Its folder. Where the same content stands already, whole, that folder, and staging is left as it is.
    """
    folder = layout.versions / version_name(as_of.isoformat(), files)
    manifest = {"version": folder.name, **facts, "files": [asdict(file) for file in files]}
    write_json(layout.staging / MANIFEST, manifest)
    reached("version staged")
    if folder.exists():
        if is_sound(folder) and not strangers(folder, files):
            return folder
        remove_version(layout, folder)
    _settle(layout.staging)
    layout.versions.mkdir(exist_ok=True)
    layout.versions.chmod(PUBLIC_DIRECTORY)
    layout.staging.replace(folder)
    sync_directory(layout.versions)
    reached("version in place")
    return folder


def version_name(as_of: str, files: Sequence[PublishedFile]) -> str:
    """A version is named by its day and its content."""
    content = "\n".join(f"{file.path} {file.sha256}" for file in files)
    return f"{as_of}-{hashlib.sha256(content.encode()).hexdigest()[:_HASH_LENGTH]}"


def current_version(layout: Layout) -> Path:
    """The folder that `current` points to, resolved once.

    Raises:
        InputError: Nothing has been published here.
    """
    if not layout.current.exists():
        raise InputError(
            "nothing has been published here yet", where=str(layout.out), next_step="clvpipe run"
        )
    return layout.current.resolve()


def readable_versions(layout: Layout) -> list[Path]:
    """Every kept version whose manifest and dictionary can be read, the newest publication first."""
    found = []
    for folder in layout.versions.glob("*"):
        with suppress(StorageError):
            found.append((_read_both(folder)["sequence"], folder))
    return [folder for _, folder in sorted(found, reverse=True)]


def standing_version(layout: Layout) -> Path | None:
    """The publication that a run goes on from: that of readers, or where it is damaged the newest readable.

    Raises:
        StorageError: That of readers was written by another clvpipe.
    """
    if layout.current.exists():
        version = layout.current.resolve()
        with suppress(DamagedError):
            _read_both(version)
            return version
    return next(iter(readable_versions(layout)), None) if os.path.lexists(layout.current) else None


def is_sound(folder: Path) -> bool:
    """Whether a version is what was published: its manifest, its dictionary, and every file's bytes.

    Raises:
        StorageError: It was written by another clvpipe, or the file system refuses.
    """
    try:
        for file in files_of(_read_both(folder)):
            sound_file(folder, file)
    except DamagedError:
        return False
    return True


def strangers(folder: Path, files: Sequence[PublishedFile]) -> list[str]:
    """What lies in a version's folder and was not published; paths relative to it."""
    wanted = {MANIFEST, DICTIONARY, *(file.path for file in files)}
    wanted |= {str(parent) for path in wanted for parent in Path(path).parents}
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))}
    return [inside for inside, path in found.items() if inside not in wanted or path.is_symlink()]


def read_manifest(version: Path) -> dict[str, Any]:
    """The manifest of a version.

    Raises:
        DamagedError: It is missing or damaged.
        StorageError: It is of a clvpipe that wrote manifests otherwise, or the file system refuses.
    """
    path = version / MANIFEST
    content = _read_json(path)
    # The first manifests did not say their format.
    written = content.get("format", 1 if content.keys() >= {"version", "as_of", "files"} else None)
    if not isinstance(written, int) or (written == FORMAT and not content.keys() >= _KEYS):
        raise _unreadable(path)
    if written != FORMAT:
        raise StorageError(
            f"the version was published in format {written}, and this clvpipe reads format {FORMAT}",
            where=str(path),
            left="everything",
            next_step="move `current` and `versions` aside, and run: what is in the ledger is published anew",
        )
    return content


def read_dictionary(version: Path) -> dict[str, Any]:
    """The data dictionary that was published with a version.

    Raises:
        DamagedError: It is missing or damaged.
        StorageError: The file system refuses.
    """
    content = _read_json(version / DICTIONARY)
    try:
        whole = all(isinstance(one["columns"], list) for one in content["datasets"].values())
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise _unreadable(version / DICTIONARY)
    return content


def _read_both(version: Path) -> dict[str, Any]:
    """The manifest of a version whose dictionary can be read too."""
    read_dictionary(version)
    return read_manifest(version)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise _unreadable(path) from error
    except OSError as error:
        raise storage_refuses(error) from error
    if not isinstance(content, dict):
        raise _unreadable(path)
    return content


def _unreadable(path: Path) -> DamagedError:
    return DamagedError(
        f"the {path.stem} is missing or damaged",
        where=str(path),
        left="everything",
        next_step="running the day again makes this version anew; clvpipe rollback shows readers another",
    )


def files_of(manifest: Mapping[str, Any]) -> list[PublishedFile]:
    """The files that a manifest lists.

    Raises:
        DamagedError: It is damaged.
    """
    try:
        return [PublishedFile(**file) for file in manifest["files"]]
    except (KeyError, TypeError) as error:
        raise DamagedError("the manifest is damaged", where=str(manifest.get("version"))) from error


def reach(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Its day, and up to when deliveries were seen; no bound is beyond every bound."""
    return manifest["as_of"], manifest["known_at"] or "9999-12-31"


def point_current(layout: Layout, folder: Path) -> None:
    """Make a version current, in one step."""
    fresh = layout.out / ".current"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Path("versions") / folder.name)
    fresh.replace(layout.current)
    sync_directory(layout.out)


def restore_current(layout: Layout) -> None:
    """Bring back the damaged version that readers see, if a run was killed while it replaced it."""
    if layout.current.is_symlink() and not layout.current.exists():
        aside = layout.removed / layout.current.readlink().name
        if aside.exists():
            aside.replace(layout.versions / aside.name)


def prune(
    layout: Layout, keep: int, publication: Publication, reached: Reached = lambda _: None
) -> list[str]:
    """Remove all but the newest publications; the current one always stays.

    The one that readers had until now is the last to go, also where a run that was killed, or a backfill, has
    left a newer one that never was current. A version leaves in one step, so nobody finds half of it; its
    name is gone before its bytes.

    Returns:
        The names of the removed versions.
    """
    standing = layout.current.resolve() if layout.current.exists() else None
    others = [folder for folder in readable_versions(layout) if folder != standing]
    others.sort(key=lambda folder: folder != publication.before)
    removed = others[max(keep - 1, 0) :] + [folder for folder in _damaged(layout) if folder != standing]
    for folder in removed:
        remove_version(layout, folder)
    if removed:
        reached("old versions moved aside")
        layout.sweep()
    return [folder.name for folder in removed]


def remove_version(layout: Layout, folder: Path) -> None:
    """Take a version out of sight; `Layout.sweep` frees its bytes."""
    layout.removed.mkdir(exist_ok=True)
    folder.replace(layout.removed / folder.name)
    sync_directory(layout.versions)


def _make_current(layout: Layout, folder: Path) -> bool:
    """Swap the symlink, unless what stands is of a later day, or of more knowledge of the same day."""
    standing, target = standing_version(layout), folder
    if standing is not None and reach(read_manifest(standing)) > reach(read_manifest(folder)):
        target = standing
    if not layout.current.exists() or layout.current.resolve() != target.resolve():
        point_current(layout, target)
    return target == folder


def _damaged(layout: Layout) -> list[Path]:
    """Kept versions whose manifest or dictionary nobody can read any more."""
    found = []
    for folder in sorted(layout.versions.glob("*")):
        try:
            _read_both(folder)
        except DamagedError:
            found.append(folder)
        except StorageError:
            continue
    return found


def _staged(layout: Layout, dataset: str) -> Path:
    folder = layout.staging / "data" / dataset
    folder.mkdir(exist_ok=True)
    return folder


def _relative(layout: Layout, staged: Path) -> str:
    return str(staged.relative_to(layout.staging))


def _settle(staging: Path) -> None:
    """Permissions and durability of everything below, folders after their files."""
    for path in _below(staging):
        path.chmod(PUBLIC_DIRECTORY if path.is_dir() else PUBLIC_FILE)
        if path.is_dir():
            sync_directory(path)
        else:
            sync_file(path)
    staging.chmod(PUBLIC_DIRECTORY)
    sync_directory(staging)


def _below(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*"), reverse=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a small document for people and programs."""
    path.write_text(
        json.dumps(content, indent=1, ensure_ascii=False, sort_keys=False) + "\n", encoding="utf-8"
    )
