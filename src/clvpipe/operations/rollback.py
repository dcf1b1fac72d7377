"""Show readers an earlier publication again. The next run moves forward as if nothing had happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clvpipe.errors import StorageError, UsageError
from clvpipe.publish import Layout
from clvpipe.publish.verify import Digests, check_version
from clvpipe.publish.versions import (
    Publication,
    is_sound,
    point_current,
    read_manifest,
    readable_versions,
)
from clvpipe.stages.context import Watch
from clvpipe.stages.erasure import finish_erasure
from clvpipe.stages.session import as_only_writer


@dataclass(frozen=True)
class RolledBack:
    """What readers saw before (None: nothing), and what they see now."""

    before: str | None
    publication: Publication


def rollback(
    layout: Layout, to: str | None, *, run_id: str, lock_timeout_seconds: float = 0.0, watch: Watch
) -> RolledBack:
    """Make another kept version current, once it has been found sound.

    Args:
        layout: The output folder.
        to: A version, or its day; None: the publication before the current one, or the newest sound one where
            that is damaged.
        run_id: Names the rollback in the lock.
        lock_timeout_seconds: How long to wait for a run that is at work.
        watch: Who looks on.

    Raises:
        UsageError: There is no such version, or none before the current one.
        LockedError: A run is at work.
        StorageError: The version is damaged, or the file system refuses.
    """
    if not layout.state.is_dir():
        raise _refused("nothing has been published here yet", ())
    with as_only_writer(layout, run_id, timeout_seconds=lock_timeout_seconds, watch=watch):
        watch.reached("lock taken")
        finish_erasure(layout)
        before = layout.current.resolve() if layout.current.exists() else None
        target = _chosen(readable_versions(layout), before, to)
        _must_be_sound(target)
        if target != before:
            point_current(layout, target)
            watch.reached("current swapped")
    done = Publication(target, target == before, is_current=True, before=before)
    return RolledBack(before.name if before else None, done)


def _chosen(versions: Sequence[Path], current: Path | None, to: str | None) -> Path:
    versions = [folder.resolve() for folder in versions]
    if to is None:
        if current not in versions:
            # What readers see is damaged, or gone.
            sound = next(filter(is_sound, versions), None)
            if sound is None:
                raise _refused("no sound publication is kept", versions)
            return sound
        earlier = versions[versions.index(current) + 1 :]
        if not earlier:
            raise _refused(f"no publication before {current.name} is kept", versions)
        return earlier[0]
    found = [folder for folder in versions if to in (folder.name, read_manifest(folder)["as_of"])]
    if len(found) != 1:
        what = f"{len(found)} kept versions are of {to}" if found else f"there is no kept version {to!r}"
        raise _refused(what, versions)
    return found[0]


def _must_be_sound(version: Path) -> None:
    problems = check_version(version, Digests()).problems
    if problems:
        raise StorageError(
            f"the version is damaged: {problems[0].what}",
            where=problems[0].where,
            left="everything; `current` has not been moved",
            next_step="choose a sound one with --to; clvpipe verify shows which are",
        )


def _refused(what: str, versions: Sequence[Path]) -> UsageError:
    names = ", ".join(folder.name for folder in versions)
    return UsageError(
        what, left="everything", next_step=f"clvpipe rollback --to one of {names}" if names else "clvpipe run"
    )
