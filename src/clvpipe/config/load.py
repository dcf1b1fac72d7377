"""Read TOML files, lay them over each other, and turn every mistake into a sentence with its place."""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from clvpipe.config.settings import Lifecycle, Pipeline, Settings
from clvpipe.errors import ConfigError, UsageError
from clvpipe.locations import resource_dir

Tree = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


def read_toml(path: Path) -> Tree:
    """Parse one TOML file.

    Raises:
        ConfigError: Missing, unreadable, not UTF-8, or not TOML (with line and column).
    """
    try:
        # Some editors put a byte order mark before the first line.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError("the file does not exist", where=str(path), next_step="check the path") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {type(error).__name__}", where=str(path)) from error


def load_settings(path: Path) -> Settings:
    """Defaults, then the preset that the file names, then the file.

    Raises:
        ConfigError: A file is missing or wrong; the message names the setting.
    """
    own = read_toml(path)
    tree = read_toml(resource_dir("config") / "defaults.toml")
    preset = own.get("preset")
    if isinstance(preset, str) and preset.isidentifier():
        preset_path = resource_dir("config") / f"{preset}.toml"
        if preset_path.is_file():
            tree = _overlay(tree, read_toml(preset_path), source=preset_path.name)
    return validated(Settings, _overlay(tree, own, source=path.name), path)


def default_lifecycle() -> Lifecycle:
    """The lifecycle's numbers as they are shipped."""
    path = resource_dir("config") / "defaults.toml"
    return validated(Lifecycle, read_toml(path)["lifecycle"], path)


def load_pipeline(name: str) -> Pipeline:
    """A shipped pipeline by its name, or any pipeline file by its path.

    Raises:
        UsageError: No such pipeline.
        ConfigError: The file is wrong.
    """
    shipped = {file.stem: file for file in sorted(resource_dir("pipelines").glob("*.toml"))}
    path = Path(name) if name.endswith(".toml") else shipped.get(name)
    if path is None:
        raise UsageError(
            f"there is no pipeline {name!r}",
            next_step=f"choose one of {', '.join(shipped)} or give the path of a .toml file",
        )
    return validated(Pipeline, {"name": path.stem, **read_toml(path)}, path)


def _overlay(base: Mapping[str, Any], over: Mapping[str, Any], *, source: str) -> Tree:
    """Lay one tree over another; a plain value over a threshold keeps the source as its provenance."""
    result = dict(base)
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, dict) and "provenance" in below:
            given = value if isinstance(value, dict) else {"value": value}
            result[key] = {"provenance": f"set in {source}", **given}
        elif isinstance(below, dict) and isinstance(value, dict):
            result[key] = _overlay(below, value, source=source)
        else:
            result[key] = value
    return result


def validated(model: type[M], tree: Tree, path: Path) -> M:
    """The tree as a model; the first mistake becomes a ConfigError with the setting's name."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        setting = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ConfigError(
            f"{_sentence(first)}{_meant(model, first)}{more}",
            where=f"{path}, setting `{setting}`",
            left="everything",
            next_step=f"every setting is explained in {resource_dir('config') / 'defaults.toml'}",
        ) from None


def _meant(model: type[BaseModel], problem: Any) -> str:
    """For a setting that there is not: the one whose name is nearest."""
    if problem["type"] != "extra_forbidden":
        return ""
    *path, name = map(str, problem["loc"])
    for part in path:
        field = model.model_fields.get(part)
        inner = next(_models_in(field.annotation), None) if field else None
        if inner is None:
            return ""
        model = inner
    near = get_close_matches(name, model.model_fields, n=1)
    return f"; is `{near[0]}` meant?" if near else ""


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _sentence(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "there is no such setting"
    if problem["type"] == "missing":
        return "a required setting is missing"
    if problem["type"] == "tuple_type":
        return "a list is expected: [ ..., ... ]"
    if problem["type"] == "too_short":
        return f"at least {problem['ctx']['min_length']} values are expected in the list"
    return str(problem["msg"]).removeprefix("Value error, ")
