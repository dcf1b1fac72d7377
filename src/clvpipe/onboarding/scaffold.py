"""Write a folder that is ready to run, from the shipped sample or from a proposal."""

import glob
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from clvpipe.config import load_settings
from clvpipe.errors import UsageError
from clvpipe.locations import resource_dir
from clvpipe.onboarding.propose import Proposal

CONFIG = "clvpipe.toml"
PIPELINE = "nightly.toml"
EXTRACTS = "extracts"
SAMPLE = "bank"


def scaffold_sample(folder: Path) -> list[Path]:
    """A config, a pipeline and the bank sample's extracts; the files that were written.

    Raises:
        UsageError: Something in the folder would be written over.
    """
    _refuse_existing(folder, CONFIG, PIPELINE, EXTRACTS)
    extracts = folder / EXTRACTS
    extracts.mkdir(parents=True)
    written = []
    for source in sorted(resource_dir("sample").joinpath(SAMPLE).iterdir()):
        if source.is_file():
            written.append(Path(shutil.copyfile(source, extracts / source.name)))
    text = (resource_dir("config") / "sample.toml").read_text(encoding="utf-8")
    # In the new folder the extracts lie beside the config.
    written.append(_write(folder / CONFIG, text.replace("sample:bank/", f"{EXTRACTS}/")))
    nightly = (resource_dir("pipelines") / PIPELINE).read_text(encoding="utf-8")
    written.append(_write(folder / PIPELINE, nightly))
    return written


def scaffold_proposal(folder: Path, proposal: Proposal) -> list[Path]:
    """A config from a look at a file; it is read back before it gets its name, so that it is valid.

    Raises:
        UsageError: The folder holds a config already.
        ConfigError: The proposal, the preset or the currency makes no valid configuration.
    """
    _refuse_existing(folder, CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    staged = _write(folder / f".{CONFIG}", "\n".join(_lines(proposal)) + "\n")
    try:
        load_settings(staged)
        return [staged.replace(folder / CONFIG)]
    finally:
        staged.unlink(missing_ok=True)


def _lines(proposal: Proposal) -> Iterator[str]:
    yield "# Proposed from a look at one file. Read it once: each line says how sure it is."
    for name, guess in proposal.general.items():
        yield f"{name} = {_toml(guess.value)}   # {guess.sure}: {_comment(guess.why)}"
    yield ""
    yield "[inputs.transactions]"
    file = _toml(glob.escape(str(proposal.path.resolve())))
    yield f"files = [{file}]   # with * in the place of a date: all of its kind"
    for name, guess in proposal.settings.items():
        yield f"{name} = {_toml(guess.value)}   # {guess.sure}: {_comment(guess.why)}"
    if proposal.file_date:
        pattern, format_ = proposal.file_date
        yield f"extract_date = {{ file_name = {_toml(pattern)}, format = {_toml(format_)} }}"
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


def _refuse_existing(folder: Path, *names: str) -> None:
    there = [path for path in (folder / name for name in names) if os.path.lexists(path)]
    if there or (os.path.lexists(folder) and not folder.is_dir()):
        raise UsageError(
            f"there is {there[0].name} already" if there else "there is a file of that name",
            where=str(there[0] if there else folder),
            left="everything",
            next_step="choose another folder, or move it away",
        )
