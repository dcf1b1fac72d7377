"""Erase customers from everything that is kept, and see to it that no later delivery brings them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clvpipe.config import Settings
from clvpipe.errors import ConfigError, UsageError
from clvpipe.privacy import Identity, Tombstones, load_identity
from clvpipe.privacy.identity import canonical
from clvpipe.publish import Layout
from clvpipe.stages.context import Watch
from clvpipe.stages.erasure import Erasure, erase, identities
from clvpipe.stages.session import as_only_writer


@dataclass(frozen=True)
class Forgotten:
    """How many customers were named, how many of them were known, and what was rewritten."""

    named: int
    known: int
    erasure: Erasure


def forget(
    layout: Layout,
    settings: Settings,
    base: Path,
    customers: Sequence[str],
    *,
    run_id: str,
    lock_timeout_seconds: float = 0.0,
    watch: Watch,
) -> Forgotten:
    """Erase customers by the ids that the source system gives them.

    The tombstones are durable before the first byte goes, so an erasure that is killed is finished by the
    next run. The delivered files themselves, exports and back-ups lie outside and are not touched.

    Args:
        layout: The output folder.
        settings: As for a run; says whether customers go by pseudonyms.
        base: Folder of the configuration.
        customers: Ids as they were delivered.
        run_id: Names the erasure in the lock.
        lock_timeout_seconds: How long to wait for a run that is at work.
        watch: Who looks on.

    Raises:
        UsageError: No id, or an empty one, or there is nothing here.
        ConfigError: Something that is kept goes by pseudonyms of another key: they would not be found.
        LockedError: A run is at work.
        StorageError: The file system refuses.
    """
    plain = sorted({canonical(customer) for customer in customers})
    if not plain or not all(plain):
        raise UsageError("no customer is named", left="everything", next_step="give ids, or --from FILE")
    if not layout.state.is_dir():
        raise UsageError(
            "nothing is kept here", where=str(layout.out), next_step="check --out and the pipeline"
        )
    identity = load_identity(settings.privacy, base)
    ids = {customer: {customer, identity.one(customer)} for customer in plain}
    with as_only_writer(layout, run_id, timeout_seconds=lock_timeout_seconds, watch=watch):
        watch.reached("lock taken")
        _must_know_the_key(layout, identity)
        tombstones = Tombstones.load(layout.erased).bury(name for names in ids.values() for name in names)
        done = erase(layout, tombstones)
        tombstones.finished()
    known = sum(not names.isdisjoint(done.found) for names in ids.values())
    return Forgotten(len(plain), known, done)


def _must_know_the_key(layout: Layout, identity: Identity) -> None:
    if identities(layout) - {"plain", identity.fingerprint}:
        raise ConfigError(
            "what is kept goes by pseudonyms of another key, under which nobody would be found",
            where=str(layout.out),
            left="everything",
            next_step="configure that key for the erasure; or remove the versions that were made with it",
        )
