"""Accept the published schema as it stands; what breaks readers needs --allow-breaking."""

import json
import sys
from pathlib import Path

from clvpipe.contracts import PUBLISHED, dictionary
from clvpipe.contracts.compatibility import breaking_changes

ACCEPTED = Path(__file__).parents[1] / "tests" / "data" / "accepted_schema.json"


def main() -> None:
    """Write the accepted schema, unless it would break readers."""
    now = dictionary(PUBLISHED.values())
    before = json.loads(ACCEPTED.read_text(encoding="utf-8")) if ACCEPTED.exists() else {"datasets": {}}
    broken = list(breaking_changes(before, now))
    if broken and "--allow-breaking" not in sys.argv[1:]:
        broken.append("raise the first number of SCHEMA_VERSION, then accept with --allow-breaking")
        sys.exit("\n".join(broken))
    ACCEPTED.write_text(json.dumps(now, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
