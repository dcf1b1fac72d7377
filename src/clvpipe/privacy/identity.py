"""The one function that every customer id passes at ingest: plain, or a pseudonym under a secret key."""

import hmac
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from clvpipe.config.settings import Privacy
from clvpipe.contracts.extracts import LONGEST_ID, UNFIT_IN_ID
from clvpipe.errors import ConfigError

MINIMUM_KEY_BYTES = 16
# What SQL's TRIM takes away, so that an id is the same here and there.
_SPACES = "".join(chr(code) for code in range(0x3001) if unicodedata.category(chr(code)) == "Zs")
_UNFIT = re.compile(UNFIT_IN_ID)


class Identity:
    """Customer ids of the source -> customer ids of every table.

    Args:
        key: Secret of the pseudonyms; None leaves ids as they are.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"Identity({self.method})"

    @property
    def method(self) -> str:
        """`plain` or `hmac-sha256`."""
        return "hmac-sha256" if self._key is not None else "plain"

    @property
    def fingerprint(self) -> str:
        """Tells one key from another and gives nothing of it away; goes into the ledger."""
        return self.method if self._key is None else f"{self.method}:{self._mac('clvpipe fingerprint')[:16]}"

    def one(self, customer: str) -> str:
        """The id of one customer. An id that cannot be one stays as it is, to be rejected by name."""
        trimmed = canonical(customer)
        if self._key is None or not trimmed or len(trimmed) > LONGEST_ID or _UNFIT.search(trimmed):
            return trimmed
        return self._mac(trimmed)

    def identify(self, customers: pa.StringArray) -> pa.StringArray:
        """A column of ids; NULL stays NULL."""
        return customers if self._key is None else mapped(customers, self.one)

    def _mac(self, text: str) -> str:
        assert self._key is not None
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def canonical(customer: str) -> str:
    """The id without the blanks around it."""
    return customer.strip(_SPACES)


def mapped(column: pa.StringArray, function: Callable[[str], str]) -> pa.StringArray:
    """Apply a function once to each distinct text of a column."""
    encoded = pc.dictionary_encode(column)
    texts = [function(text) for text in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(texts, pa.string()), encoded.indices)


def load_identity(privacy: Privacy, base: Path) -> Identity:
    """The identity function of a configuration.

    Args:
        privacy: Its section.
        base: Folder of the configuration, where a relative key file is looked for.

    Raises:
        ConfigError: The key is missing, too short, or open to others. The message never holds it.
    """
    if privacy.identifiers == "plain":
        return Identity()
    key, where = _key(privacy, base)
    if len(key) < MINIMUM_KEY_BYTES:
        raise ConfigError(
            f"the key of the pseudonyms has fewer than {MINIMUM_KEY_BYTES} bytes",
            where=where,
            left="everything",
            next_step="make one: openssl rand -hex 32",
        )
    return Identity(key)


def _key(privacy: Privacy, base: Path) -> tuple[bytes, str]:
    if privacy.key_env is not None:
        where = f"environment variable {privacy.key_env}"
        return os.environ.get(privacy.key_env, "").strip().encode(), where
    assert privacy.key_file is not None
    path = base / privacy.key_file
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(
                "the key of the pseudonyms can be read by others",
                where=str(path),
                left="everything",
                next_step="chmod 600 the file",
            )
        return path.read_bytes().strip(), str(path)
    except OSError as error:
        raise ConfigError(
            f"the key of the pseudonyms cannot be read: {error.strerror}",
            where=str(path),
            left="everything",
            next_step="check `key_file` under [privacy]",
        ) from None
