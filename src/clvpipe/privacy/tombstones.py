"""Customers who were erased. Nobody keeps their ids: only a keyed hash says that an id is one of them."""

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from clvpipe.errors import StorageError
from clvpipe.privacy.identity import canonical
from clvpipe.publish.files import make_durable

_KEY = "key"
_GRAVES = "tombstones.json"


@dataclass(frozen=True, repr=False)
class Tombstones:
    """The erased customers of one state folder.

    Attributes:
        folder: state/erased, which holds the key and the hashes.
        macs: Hex HMAC-SHA256 of each erased id, as it came and as it stood in the tables.
        pending: An erasure began and has not been finished; the next run finishes it first.
    """

    folder: Path
    macs: frozenset[str] = frozenset()
    pending: bool = False
    key: bytes = b""

    @classmethod
    def load(cls, folder: Path) -> "Tombstones":
        """Those of a folder; none where nobody was erased.

        Raises:
            StorageError: The folder is damaged; without it erased customers could come back.
        """
        if not (folder / _GRAVES).exists():
            return cls(folder)
        try:
            content = json.loads((folder / _GRAVES).read_text(encoding="utf-8"))
            key = bytes.fromhex((folder / _KEY).read_text(encoding="ascii"))
            return cls(folder, frozenset(content["macs"]), content["pending"], key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                "the list of erased customers is damaged",
                where=str(folder),
                left="everything",
                next_step="restore the folder from a backup; without it erased customers would come back",
            ) from error

    def __repr__(self) -> str:
        return f"Tombstones({len(self.macs)}, pending={self.pending})"

    def bury(self, customers: Iterable[str]) -> "Tombstones":
        """Add customers, durably and before anything is erased."""
        key = self.key or self._new_key()
        found = {hmac.digest(key, canonical(name).encode(), "sha256").hex() for name in customers}
        return _write(replace(self, macs=self.macs | found, pending=True, key=key))

    def finished(self) -> "Tombstones":
        """Nothing of them is left."""
        return _write(replace(self, pending=False))

    def holds(self, customer: str | None) -> bool:
        """Whether the customer was erased."""
        if not self.macs or not customer:
            return False
        return hmac.digest(self.key, canonical(customer).encode(), "sha256").hex() in self.macs

    def mask(self, customers: pa.StringArray) -> pa.BooleanArray:
        """True where a column of ids names an erased customer."""
        encoded = pc.dictionary_encode(customers)
        erased = [self.holds(name) for name in encoded.dictionary.to_pylist()]
        return pc.fill_null(pc.take(pa.array(erased, pa.bool_()), encoded.indices), False)

    def _new_key(self) -> bytes:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        key = secrets.token_bytes(32)
        staged = self.folder / ".key"
        staged.write_text(key.hex(), encoding="ascii")
        make_durable(staged, self.folder / _KEY)
        return key


def _write(new: Tombstones) -> Tombstones:
    staged = new.folder / ".tombstones"
    content = {"pending": new.pending, "macs": sorted(new.macs)}
    staged.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")
    make_durable(staged, new.folder / _GRAVES)
    return new
