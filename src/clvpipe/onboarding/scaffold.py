"""Write a folder that is ready to run, from the shipped sample or from a proposal."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from clvpipe.config import load_settings
from clvpipe.errors import UsageError
from clvpipe.locations import resource_dir
from clvpipe.onboarding.propose import Proposal

CONFIG = "clvpipe.toml"
PIPELINE = "nightly.toml"
SAMPLE = "bank"


def scaffold_sample(folder: Path) -> list[Path]:
    """A config, a pipeline and the bank sample's extracts; the files that were written.

    Raises:
        UsageError: The folder holds a config already.
    """
    _refuse_existing(folder)
    extracts = folder / "extracts"
    extracts.mkdir(parents=True)
    written = []
    for source in sorted(resource_dir("sample").joinpath(SAMPLE).iterdir()):
        if source.is_file():
            written.append(Path(shutil.copyfile(source, extracts / source.name)))
    text = (resource_dir("config") / "sample.toml").read_text(encoding="utf-8")
    # In the new folder the extracts lie beside the config.
    written.append(_write(folder / CONFIG, text.replace("sample:bank/", "extracts/")))
    nightly = (resource_dir("pipelines") / PIPELINE).read_text(encoding="utf-8")
    written.append(_write(folder / PIPELINE, nightly))
    return written


def scaffold_proposal(folder: Path, proposal: Proposal, preset: str, currency: str) -> list[Path]:
    """A config from a look at a file; it is read back, so that what is proposed is valid.

    Raises:
        UsageError: The folder holds a config already.
        ConfigError: The proposal is not a valid configuration.
    """
    _refuse_existing(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = _write(folder / CONFIG, "\n".join(_lines(proposal, preset, currency)) + "\n")
    load_settings(path)
    return [path]


def _lines(proposal: Proposal, preset: str, currency: str) -> Iterator[str]:
    yield "# Proposed from a look at one file. Read it once: each line says how sure it is."
    yield f"preset = {_toml(preset)}"
    yield f"currency = {_toml(currency)}"
    yield ""
    yield "[inputs.transactions]"
    yield f"files = [{_toml(str(proposal.path.absolute()))}]   # a glob takes all of its kind"
    for name, guess in proposal.settings.items():
        yield f"{name} = {_toml(guess.value)}   # {guess.sure}: {_comment(guess.why)}"
    if proposal.column_names:
        names = ", ".join(_toml(name) for name in proposal.column_names)
        yield f"column_names = [{names}]   # the file has no header"
    yield ""
    yield "[inputs.transactions.columns]"
    for ours, guess in proposal.columns.items():
        yield f"{ours} = {_toml(guess.value)}   # {guess.sure}: {_comment(guess.why)}"


def _toml(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)


def _comment(text: str) -> str:
    return " ".join(text.split())


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _refuse_existing(folder: Path) -> None:
    if (folder / CONFIG).exists():
        raise UsageError(
            "there is a configuration already",
            where=str(folder / CONFIG),
            left="everything",
            next_step="choose another folder, or move the file away",
        )
