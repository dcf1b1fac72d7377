"""The lifecycle rule table, over the columns and the thresholds that it may read."""

from clvpipe.config.rules import load_lifecycle
from clvpipe.config.settings import Lifecycle
from clvpipe.contracts.lifecycle import LIFECYCLE_INPUTS
from clvpipe.sqlrepo.rules import RuleCase


def lifecycle_rules() -> RuleCase:
    """config/lifecycle.toml as rules."""
    return RuleCase(
        "config/lifecycle.toml",
        [(state.code, state.when) for state in load_lifecycle().state],
        {column.name: column.kind for column in LIFECYCLE_INPUTS.columns},
        Lifecycle.model_fields,
    )
