"""Commands that only look: the data dictionary and the path of a published table."""

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clvpipe.errors import UsageError

if TYPE_CHECKING:
    from clvpipe.config.settings import Lifecycle
    from clvpipe.contracts import Table
    from clvpipe.sqlrepo.rule_text import Language

_RULE_WORDS = {
    "en": {
        "how": "The first rule that is true gives the state. A condition on something unknown is false.",
        "numbers": "Numbers: {}.",
        "paid back": "{label}, or {later} once contribution has passed cost{repeat}",
        "repeat": " and there was a repeat purchase",
        "defaults": "the shipped defaults",
        "system": "{}: {}",
    },
    "zh": {
        "how": "自上而下，首个成立的规则决定客户状态；涉及未知信息的条件视为不成立。",
        "numbers": "数值来源：{}。",
        "paid back": "{label}（收入大于投入{repeat}后为{later}）",
        "repeat": "且有复购",
        "defaults": "内置默认值",
        "system": "{}：{}",
    },
}


def show_schema(dataset: str | None, as_json: bool) -> None:
    """Print the dictionary of all datasets, or of one.

    Raises:
        UsageError: No such dataset.
    """
    from rich.console import Console
    from rich.table import Table as Listing

    from clvpipe.contracts import PUBLISHED, dictionary

    if dataset is not None and dataset not in PUBLISHED:
        raise UsageError(
            f"there is no dataset {dataset!r}", next_step=f"choose one of {', '.join(PUBLISHED)}"
        )
    tables = [PUBLISHED[dataset]] if dataset else list(PUBLISHED.values())
    if as_json:
        typer.echo(json.dumps(dictionary(tables), ensure_ascii=False, indent=1))
        return
    console = Console(highlight=False)
    if dataset is None:
        listing = Listing("dataset", "a row is a", "columns", box=None, pad_edge=False)
        for table in tables:
            listing.add_row(table.name, table.grain, str(len(table.columns)))
        console.print(listing)
        console.print("\nclvpipe schema DATASET shows the columns; --json is for programs")
        return
    _print_columns(tables[0])


def _print_columns(table: "Table") -> None:
    """A column in two lines, which no terminal is too narrow for."""
    from rich.padding import Padding
    from rich.text import Text

    from clvpipe.cli.stdout import print_plain

    print_plain(f"{table.name}: a row is a {table.grain}; key {', '.join(table.key)}", "")
    for column in table.columns:
        facts = (column.type, column.unit, column.zh, f"status in {column.status}" if column.status else "")
        print_plain(
            Text.assemble((column.name, "bold"), "  ", (", ".join(filter(None, facts)), "dim")),
            Padding(Text(column.definition), (0, 0, 0, 4)),
        )


def show_rules(config: Path | None, language: "Language", as_json: bool) -> None:
    """Print the lifecycle rules in words, in their order, with the labels of each state.

    Raises:
        ConfigError: The configuration or a rule file is wrong.
    """
    from rich.padding import Padding
    from rich.text import Text

    from clvpipe.cli.stdout import print_plain

    lifecycle, source = _lifecycle_numbers(config)
    states = _states(lifecycle)
    if as_json:
        content = {"config": source, "states": states}
        typer.echo(json.dumps(content, ensure_ascii=False, indent=1))
        return
    words = _RULE_WORDS[language]
    print_plain(words["how"], words["numbers"].format(source or words["defaults"]))
    for state in states:
        heading = f"{state['number']}. {state['code']} {state[f'label_{language}']}"
        print_plain(
            "",
            Text(heading, style="bold"),
            Padding(Text(state[f"condition_{language}"]), (0, 0, 0, 4)),
            Padding(Text(_systems(state, language), style="dim"), (0, 0, 0, 4)),
        )


def _lifecycle_numbers(config: Path | None) -> tuple["Lifecycle", str | None]:
    """The numbers of a configuration, given or found here, and its path; else those that are shipped."""
    from clvpipe.cli.execute import OWN_CONFIG
    from clvpipe.config.load import default_lifecycle, load_settings

    path = config or (OWN_CONFIG if OWN_CONFIG.is_file() else None)
    return (default_lifecycle(), None) if path is None else (load_settings(path).lifecycle, str(path))


def _states(lifecycle: "Lifecycle") -> list[dict[str, Any]]:
    """The state machine as plain data."""
    from clvpipe.config.base import unit_of
    from clvpipe.config.rules import SYSTEMS, load_codes, load_lifecycle
    from clvpipe.contracts.lifecycle import LIFECYCLE_INPUTS
    from clvpipe.sqlrepo import lifecycle_rules
    from clvpipe.sqlrepo.rule_text import Number, condition_text

    def labelled(scheme: str, code: str) -> dict[str, str]:
        english, chinese = load_codes().label(scheme, code)
        return {"code": code, "label_en": english, "label_zh": chinese}

    numbers = {
        name: Number(Decimal(getattr(lifecycle, name).value), unit_of(name))
        for name in type(lifecycle).model_fields
    }
    conditions = dict(lifecycle_rules().conditions())
    return [
        {
            "number": number,
            **labelled("lifecycle_state", state.code),
            "condition_en": condition_text(conditions[state.code], LIFECYCLE_INPUTS, numbers, "en"),
            "condition_zh": condition_text(conditions[state.code], LIFECYCLE_INPUTS, numbers, "zh"),
            **{system: labelled(system, getattr(state, system)) for system in SYSTEMS},
            "icbc6_when_paid_back": state.icbc6_when_paid_back
            and labelled("icbc6", state.icbc6_when_paid_back),
            "paid_back_needs_repeat": state.paid_back_needs_repeat,
        }
        for number, state in enumerate(load_lifecycle().state, 1)
    ]


def _systems(state: dict[str, Any], language: "Language") -> str:
    """A state's labels in the four systems, in one line."""
    from clvpipe.config.rules import SYSTEMS

    words = _RULE_WORDS[language]
    labels = {system: state[system][f"label_{language}"] for system in SYSTEMS}
    if state["icbc6_when_paid_back"]:
        labels["icbc6"] = words["paid back"].format(
            label=labels["icbc6"],
            later=state["icbc6_when_paid_back"][f"label_{language}"],
            repeat=words["repeat"] if state["paid_back_needs_repeat"] else "",
        )
    return " · ".join(words["system"].format(*pair) for pair in labels.items())


def show_path(pipeline_name: str, out: Path | None, dataset: str, version: bool, as_json: bool) -> None:
    """Print the file of a published dataset, or the folder of its version; of the history, its folder.

    Raises:
        UsageError: No such dataset.
        InputError: Nothing has been published there.
    """
    from clvpipe.cli.execute import output_folder
    from clvpipe.config import load_pipeline
    from clvpipe.contracts import PUBLISHED
    from clvpipe.publish import Layout
    from clvpipe.publish.history import DATASET as HISTORY
    from clvpipe.publish.versions import current_version, files_of, read_manifest

    if dataset not in PUBLISHED:
        raise UsageError(
            f"there is no dataset {dataset!r}", next_step=f"choose one of {', '.join(PUBLISHED)}"
        )
    folder = current_version(Layout(output_folder(load_pipeline(pipeline_name), out).absolute()))
    files = {
        file.dataset: str(folder / (Path(file.path).parent if file.dataset == HISTORY else file.path))
        for file in files_of(read_manifest(folder))
    }
    if as_json:
        typer.echo(json.dumps({"version": str(folder), "files": files}, ensure_ascii=False))
    else:
        typer.echo(str(folder) if version else files[dataset])
