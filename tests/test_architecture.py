"""The shape of the house: who may import whom, and what a command may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY

SOURCE = REPOSITORY / "src" / "clvpipe"
# A room may import the rooms on its own shelf and on those below.
SHELVES = [
    {"cli"},
    {"onboarding", "operations"},
    {"stages"},
    {"fitting", "potential", "scoring"},
    {"calibration"},
    {"engine", "publish", "extracts", "privacy"},
    {"sqlrepo", "models"},
    {"contracts", "config"},
    {"locations"},
    {"errors"},
]
SHELF_OF = {room: place for place, rooms in enumerate(SHELVES) for room in rooms}
MODULES = sorted(SOURCE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"relative import in {path}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    room = _room(path)
    if room == "__init__":
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] == "clvpipe" and len(parts) > 1 and parts[1] in SHELF_OF and parts[1] != room:
            assert SHELF_OF[parts[1]] >= SHELF_OF[room], f"{room} imports {parts[1]}"


def test_no_query_stands_outside_the_folder_of_queries():
    """What the engine's own verbs do not say is a file under sql/, where the lint sees it."""
    for path in MODULES:
        if _room(path) not in ("engine", "sqlrepo"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Query"]
            assert not made, f"{path.relative_to(SOURCE)} line {made[0].lineno}"


def test_every_room_has_its_shelf():
    assert {_room(path) for path in MODULES} - {"__init__"} == set(SHELF_OF)


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("duckdb", {"engine"}),
        ("typer", {"cli"}),
        ("lifetimes", {"models"}),
        ("pandas", {"models"}),
        ("rich", {"cli"}),
        ("xlsxwriter", {"operations"}),
    ],
)
def test_some_packages_have_one_room(package, rooms):
    users = {_room(path) for path in MODULES for name in _imports(path) if name.split(".")[0] == package}
    assert users <= rooms


def test_kernels_do_no_io():
    banned = {"pyarrow", "polars", "duckdb", "pathlib", "os", "logging", "sqlglot", "pydantic"}
    for path in MODULES:
        if _room(path) == "models":
            assert not {name.split(".")[0] for name in _imports(path)} & banned, path


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from clvpipe.cli import main\n"
        "heavy = {'duckdb', 'polars', 'pyarrow', 'numpy', 'scipy', 'pandas', 'lifetimes', "
        "'pydantic', 'xlsxwriter'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_clock_or_chance_in_the_way_of_the_data():
    """Clock times are for the manifest and the lock; chance is seeded and in the models alone."""
    clocks = {"session.py", "context.py", "execute.py", "journal.py", "status.py", "stderr.py"}
    for path in MODULES:
        text = path.read_text()
        if path.name not in clocks:
            assert "datetime.now" not in text and "date.today" not in text, path
        assert "np.random.seed" not in text and "import random" not in text, path
        assert "default_rng()" not in text, path
