"""Files that are whole or not there: synced, renamed, and their folder synced."""

import hashlib
import os
import shutil
from pathlib import Path


def sync_directory(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file's bytes survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def make_durable(staged: Path, target: Path) -> None:
    """Move a finished file to its name in one step."""
    sync_file(staged)
    staged.replace(target)
    sync_directory(target.parent)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give a file, which nobody writes in place, a second name; on another disk, copy its bytes."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
