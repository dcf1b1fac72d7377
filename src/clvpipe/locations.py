"""The one place that knows where clvpipe's own files lie: in the wheel if installed, else in the checkout."""

from importlib.util import find_spec
from pathlib import Path

from clvpipe.errors import ConfigError

_CHECKOUT = {"sql": "sql", "config": "config", "pipelines": "pipelines", "sample": "data/sample"}


def resource_dir(kind: str) -> Path:
    """The folder of shipped `sql`, `config`, `pipelines` or `sample` files.

    Raises:
        ConfigError: The installation lacks the folder.
    """
    installed = Path(__file__).parent / "resources" / kind
    checkout = Path(__file__).parents[2] / _CHECKOUT[kind]
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"the shipped folder {kind!r} is missing", where=str(installed), next_step="reinstall clvpipe"
    )


def package_file(reference: str) -> Path:
    """The path behind `package:NAME/path/in/package`; the package is not imported.

    Raises:
        ConfigError: No such package or file.
    """
    package, _, inner = reference.removeprefix("package:").partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        path = (Path(folder) / inner).resolve()
        if path.is_file() and path.is_relative_to(Path(folder).resolve()):
            return path
    raise ConfigError(
        f"no installed package {package!r} has such a file",
        where=reference,
        next_step="check the `files` setting",
    )
