"""What the tests of faults share: processes to talk to, and all that an output folder holds."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from tests.support import CONFIG, LEDGER_HEADER, REPOSITORY, ledger_csv

SHORT_OF_THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
}
CLEAN = 0
KILLED = -9
KEPT = 2
CONFIGURED = f"""{CONFIG}
[clv]
minimum_customers = 50
minimum_repeaters = 20
[calibration]
refresh = "month"
[publication]
keep_versions = {KEPT}
"""
LEDGER = ledger_csv(150, end=date(2024, 4, 28))
DELIVERY = [
    *(f"may-{number},c{number:04d},2024-06-{number % 28 + 1:02d},{number + 1}.50" for number in range(60)),
    "may-a,c0001,2024-06-31,5",
    "may-b,c0002,2024-06-01,five",
]
NEW_DAY = date(2024, 6, 30)


class Companion:
    """A process of `tests.killable` that is told what to do."""

    def __init__(self, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killable", *map(str, arguments)],
            cwd=REPOSITORY,
            env={**os.environ, **SHORT_OF_THREADS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._hear() == "ready"

    def ask(self, content: Mapping[str, Any]) -> Any:
        """Say something, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process beside the test has died"
        return json.loads(line)


@contextmanager
def companion(*arguments: str | Path) -> Iterator[Companion]:
    """A process beside the test, gone at its end."""
    found = Companion(*arguments)
    try:
        yield found
    finally:
        found.end()


def command(*arguments: str | Path) -> list[str]:
    """The command line of clvpipe, as cron would call it."""
    return [sys.executable, "-m", "clvpipe.cli.main", *map(str, arguments)]


@dataclass(frozen=True)
class Folder:
    """A folder of deliveries with its config and its output."""

    root: Path

    @property
    def out(self) -> Path:
        """Its output folder."""
        return self.root / "out"

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.root / "clvpipe.toml"

    @property
    def current(self) -> str | None:
        """The name of the version that readers see."""
        link = self.out / "current"
        return link.readlink().name if link.is_symlink() else None

    def deliver(self, name: str, header: str, lines: Sequence[str]) -> None:
        """Put an extract there."""
        (self.root / name).write_text(header + "\n".join(lines) + "\n", encoding="utf-8")

    def copy(self, to: Path) -> "Folder":
        """The same under another name."""
        shutil.copytree(self.root, to, symlinks=True)
        return Folder(to)

    def order(self, as_of: object, **more: Any) -> dict[str, Any]:
        """What the process that forks runs is told."""
        return {"config": str(self.config), "out": str(self.out), "as_of": str(as_of), **more}

    def run_command(self, as_of: object, *more: str, out: Path | None = None) -> list[str]:
        """The same run as a command line."""
        options: list[str | Path] = [
            "--config",
            self.config,
            "--as-of",
            str(as_of),
            "--out",
            out or self.out,
            "--threads",
            "2",
        ]
        return command("run", *options, "--threads", "2", *more)


def contents(out: Path) -> dict[str, Any]:
    """All that an output folder holds, but for clock times and the ids of runs.

    The ledger and the publications as bytes, the warehouse as rows, and every name there is, so that whatever
    lies about is seen.
    """
    return {
        "files": {
            str(path.relative_to(out)): _sha256(path)
            for path in sorted(out.rglob("*"))
            if path.suffix in (".parquet", ".json") and path.name != "manifest.json"
        },
        "manifests": {path.name: _manifest(path) for path in (out / "versions").iterdir()},
        "current": str((out / "current").readlink()),
        "warehouse": warehouse(out / "state" / "warehouse.duckdb"),
        # The journal tells of runs, also of those that failed; it is kept by the command line alone.
        "names": sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.suffix != ".jsonl"),
    }


def warehouse(database: Path) -> dict[str, list[str]]:
    """Every table's columns, number of rows, and hash of its rows in no order."""
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
        return {
            table: [
                str(connection.execute(f'DESCRIBE "{table}"').fetchall()),
                *map(
                    str,
                    connection.execute(
                        "SELECT count(*), md5(string_agg(t::VARCHAR, chr(10) ORDER BY t::VARCHAR)) "
                        f'FROM "{table}" t'
                    ).fetchall()[0],
                ),
            ]
            for table in tables
        }


def broken_files(version: Path) -> list[str]:
    """Files of a version that are not there, or are not what its manifest says."""
    manifest = json.loads((version / "manifest.json").read_text())
    assert manifest["version"] == version.name
    return [
        file["path"]
        for file in manifest["files"]
        if not (version / file["path"]).is_file() or _sha256(version / file["path"]) != file["sha256"]
    ]


def _manifest(version: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((version / "manifest.json").read_text())
    return {key: value for key, value in content.items() if key not in ("run_id", "published_at")}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepared(root: Path) -> Folder:
    """A folder with a config and a first delivery."""
    root.mkdir(parents=True, exist_ok=True)
    folder = Folder(root)
    folder.config.write_text(CONFIGURED, encoding="utf-8")
    folder.deliver("a.csv", LEDGER_HEADER, LEDGER)
    return folder


def with_history(folder: Folder, runner: Companion) -> Folder:
    """The same when two publications stand, as many as are kept, and a new delivery has arrived."""
    for day in ("2024-04-30", "2024-05-31"):
        assert runner.ask(folder.order(day))["code"] == CLEAN
    folder.deliver("b.csv", LEDGER_HEADER, DELIVERY)
    return folder
