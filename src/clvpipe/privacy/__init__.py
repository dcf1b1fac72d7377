"""Who a customer is outside the source system, and who is not to be known any more."""

from clvpipe.privacy.identity import Identity, load_identity
from clvpipe.privacy.tombstones import Tombstones

__all__ = ["Identity", "Tombstones", "load_identity"]
