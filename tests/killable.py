"""Processes beside a test: runs that may be killed at a step or after a while, and readers without pause.

`runs` and `commands` import everything once and fork a process for each run, or each command line, that they
are told of, so that a hundred of them do not pay for a hundred imports. `versions` and `globs` read a
publication over and over and say at the end what they saw. `analyst` and `writer` hold a warehouse open. Each
is told on standard input what to do, line by line, as JSON.
"""

import gc
import hashlib
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import clvpipe
from clvpipe.cli.main import main
from clvpipe.config import load_settings
from clvpipe.config.settings import STAGES
from clvpipe.contracts import PUBLISHED, WAREHOUSE
from clvpipe.errors import ClvpipeError
from clvpipe.sqlrepo import load, sql_files
from clvpipe.stages.context import Watch
from clvpipe.stages.session import Request, run_stages


class KillsItself(Watch):
    """Kills its own process, as the kernel may, when a step is reached the n-th time."""

    def __init__(self, step: str, time_: int) -> None:
        self._step = step
        self._left = time_

    def reached(self, step: str) -> None:
        self._left -= step == self._step
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def orders() -> Iterator[dict[str, Any]]:
    """What the test asks for, one line each."""
    for line in iter(sys.stdin.readline, ""):
        yield json.loads(line)


def answer(content: Any) -> None:
    """Tell the test."""
    print(json.dumps(content), flush=True)


def _import_everything() -> None:
    for module in pkgutil.walk_packages(clvpipe.__path__, "clvpipe."):
        importlib.import_module(module.name)
    importlib.import_module("pandas")
    for name in sql_files():
        for contract in (None, WAREHOUSE.get(name), PUBLISHED.get(name)):
            load(name)._statement(contract)
    gc.freeze()


def commands() -> None:
    """Fork a command line for every order, and tell how it ended and what it said."""
    _import_everything()
    answer("ready")
    for order in orders():
        said = {name: os.memfd_create(name) for name in ("stdout", "stderr")}
        pid = os.fork()
        if not pid:
            _command(order, **said)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        words = {
            name: os.pread(handle, os.fstat(handle).st_size, 0).decode() for name, handle in said.items()
        }
        for handle in said.values():
            os.close(handle)
        answer({"code": code, **words})


def _command(order: dict[str, Any], stdout: int, stderr: int) -> None:
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    for number, handle in enumerate((os.open(os.devnull, os.O_RDONLY), stdout, stderr)):
        os.dup2(handle, number)
    sys.argv = ["clvpipe", *order["arguments"]]
    main()
    os._exit(0)


def runs() -> None:
    """Fork a run for every order; kill it after a while if the order says so."""
    _import_everything()
    answer("ready")
    for order in orders():
        begin = time.monotonic()
        pid = os.fork()
        if not pid:
            _child(order)
        watched = os.pidfd_open(pid)
        ended = select.select([watched], [], [], order.get("kill_after"))[0]
        if not ended:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(watched)
        answer({"code": code, "seconds": time.monotonic() - begin})


def _child(order: dict[str, Any]) -> None:
    code = 1
    if "more_bytes" in order:
        _allow(order["more_bytes"])
    try:
        run_stages(_request(order), KillsItself(*order["kill_at"]) if order.get("kill_at") else None)
        code = 0
    except ClvpipeError as error:
        print(error, file=sys.stderr)
        code = int(error.exit_code)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _allow(more_bytes: int) -> None:
    """So much address space beside what the imports have taken: they are not what is tested."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + more_bytes, taken + more_bytes))


def _request(order: dict[str, Any]) -> Request:
    path = Path(order["config"])
    return Request(
        settings=load_settings(path),
        config_path=path,
        out=Path(order["out"]),
        stages=STAGES,
        as_of=date.fromisoformat(order["as_of"]),
        threads=2,
    )


def fingerprint(frame: pl.DataFrame) -> str:
    """Of what a table says, however it was read."""
    ordered = frame.sort("as_of_date", "customer_id")
    return hashlib.sha256(ordered.write_csv().encode()).hexdigest()


def _until_told(read: Callable[[], None]) -> None:
    # Without pause, but what is read comes first.
    os.nice(19)
    answer("ready")
    while not select.select([sys.stdin], [], [], 0)[0]:
        read()


def versions(out: Path) -> None:
    """Resolve `current` once and read all that its manifest lists; again and again."""
    found: Counter[str] = Counter()
    violations: list[str] = []
    connection = duckdb.connect(config={"threads": 1})

    def read() -> None:
        version = (out / "current").resolve(strict=True)
        try:
            manifest = json.loads((version / "manifest.json").read_text())
            for file in manifest["files"]:
                path = version / file["path"]
                if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
                    violations.append(f"{path}: not the bytes of the manifest")
                if file["dataset"] != "customer_segments":
                    continue
                heights = {
                    pl.read_parquet(path).height,
                    connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchall()[0][0],
                }
                if heights != {file["rows"]}:
                    violations.append(f"{path}: {heights} rows, not {file['rows']}")
            found[version.name] += 1
        except Exception as error:
            violations.append(f"{version.name}: {type(error).__name__}: {error}")

    _until_told(read)
    answer({"reads": found.total(), "seen": sorted(found), "violations": violations})


def globs(out: Path) -> None:
    """Read through `current` by pattern; a file may be gone at the moment of the swap, no more."""
    seen: dict[str, set[str]] = {"customer_segments": set(), "segment_history": set()}
    counts: Counter[str] = Counter()
    violations: list[str] = []
    connection = duckdb.connect(config={"threads": 1})
    ways: dict[str, Callable[[str], pl.DataFrame]] = {
        "polars": pl.read_parquet,
        "duckdb": lambda pattern: pl.DataFrame(
            connection.execute("SELECT * FROM read_parquet(?)", [pattern]).to_arrow_table()
        ),
    }

    def read() -> None:
        for dataset, known in seen.items():
            for name, way in ways.items():
                try:
                    frame = way(str(out / "current" / "data" / dataset / "*.parquet"))
                except Exception as error:
                    if _says_not_found(error):
                        counts["gone"] += 1
                    else:
                        violations.append(f"{dataset}, {name}: {type(error).__name__}: {error}")
                    continue
                counts[name] += 1
                known.add(fingerprint(frame))
                if dataset == "customer_segments":
                    mixed = frame.select("as_of_date", "calibration_id").unique().height
                    if mixed != 1:
                        violations.append(f"{dataset}, {name}: {mixed} versions in one read")

    _until_told(read)
    answer(
        {
            "reads": counts["polars"] + counts["duckdb"],
            "gone": counts["gone"],
            "seen": {dataset: sorted(known) for dataset, known in seen.items()},
            "violations": violations,
        }
    )


def _says_not_found(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, FileNotFoundError) or any(
        words in text for words in ("no such file", "no files found", "expanded paths were empty")
    )


def analyst(database: Path) -> None:
    """Hold a warehouse open for reading, and answer queries."""
    _answer_queries(database, read_only=True)


def writer(database: Path) -> None:
    """Hold a warehouse open as DuckDB does when nobody says otherwise, and answer queries."""
    _answer_queries(database, read_only=False)


def _answer_queries(database: Path, *, read_only: bool) -> None:
    with duckdb.connect(str(database), read_only=read_only) as connection:
        answer("ready")
        for order in orders():
            answer(connection.execute(order["sql"]).fetchall())


if __name__ == "__main__":
    globals()[sys.argv[1]](*map(Path, sys.argv[2:]))
    sys.stdout.flush()
    # What the libraries complain of when the interpreter is taken down is of no interest.
    os._exit(0)
