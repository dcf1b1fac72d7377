"""What the page on counting says of defaults, extracts, memories and states is what the code has."""

import re
from decimal import Decimal

from clvpipe.config import load_settings
from clvpipe.contracts.extracts import EXTRACTS
from clvpipe.locations import resource_dir
from tests.support import REPOSITORY

PAGE = " ".join((REPOSITORY / "docs" / "domain.md").read_text(encoding="utf-8").split())
SETTINGS = load_settings(resource_dir("config") / "sample.toml")


def test_defaults():
    """Each setting that is followed by a number in brackets has that default."""
    told = re.findall(r"`([a-z_]+)\.([a-z_]+)` \(([0-9][0-9., ]*)\)", PAGE)
    assert len(told) >= 14
    for section, name, numbers in told:
        value = getattr(getattr(SETTINGS, section), name).value
        found = value if isinstance(value, tuple) else (value,)
        assert [Decimal(str(one)) for one in found] == [Decimal(one) for one in numbers.split(", ")]


def test_extracts_and_their_keys():
    rows = re.findall(r"\| `([a-z]+)` \| ([^|]+) \| [^|]+ (?=\|)", PAGE.partition("- **Transactions")[0])
    assert [name for name, _ in rows] == list(EXTRACTS)
    for name, grain in rows[2:]:
        assert grain.replace("×", "x") == EXTRACTS[name].grain


def test_memories():
    memories = SETTINGS.deposit_tier.memories
    assert set(re.findall(r"\| `([a-z])` \| ", PAGE)) == set(memories)
    for name, up, watch in re.findall(r"\| `([a-z])` \| ([^|]+) \| ([^|]+) \| in the month after", PAGE):
        memory = memories[name]
        assert memory.upgrade_lag_months == {"at once": 0, "in the month after": 1}[up]
        assert memory.watch_after == {"never": None, "from the first miss": 1, "from the 3rd miss": 3}[watch]
