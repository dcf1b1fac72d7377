"""The command as cron and people meet it: exit codes, silence, JSON, and words that help."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from clvpipe.contracts import PUBLISHED
from clvpipe.errors import ClvpipeError, ExitCode
from tests.commands import clvpipe
from tests.support import CONFIG, HEADER, LEDGER_HEADER, REPOSITORY, content_hashes, ledger_csv

GOOD = LEDGER_HEADER + "\n".join(ledger_csv(40)) + "\n"
DAY = ("--as-of", "2024-06-30")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "a bank's folder 银行"
    home.mkdir()
    (home / "clvpipe.toml").write_text(CONFIG, encoding="utf-8")
    (home / "day 1.csv").write_text(GOOD, encoding="utf-8")
    return home


def test_cron_hears_nothing_when_all_is_well(folder):
    done = clvpipe(folder, "run", *DAY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder / "out" / "nightly" / "current" / "manifest.json").is_file()
    again = clvpipe(folder, "run", *DAY)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_progress_when_asked_for(folder):
    done = clvpipe(folder, "run", *DAY, "--progress")
    for stage in ("ingest", "features", "fit", "score", "segment", "publish"):
        assert re.search(rf"✓ {stage} +[0-9.]+ s", done.stderr)
    assert "quadrant" in done.stderr and "流失" in done.stderr and "files: " in done.stderr
    assert done.stdout == ""


def test_json(folder):
    done = clvpipe(folder, "run", *DAY, "--json")
    content = json.loads(done.stdout)
    assert content["exit_code"] == 0
    assert [stage["stage"] for stage in content["stages"]] == [
        "ingest",
        "features",
        "fit",
        "score",
        "segment",
        "publish",
    ]
    assert Path(content["version"]).is_dir()
    assert content["unchanged"] is False and content["is_current"] is True
    (folder / "day 1.csv").unlink()
    (folder / "clvpipe.toml").write_text("x = ", encoding="utf-8")
    failed = clvpipe(folder, "run", *DAY, "--json")
    assert failed.returncode == json.loads(failed.stdout)["exit_code"] == ExitCode.CONFIG


def test_stage_by_stage_is_the_same_as_run(folder):
    assert clvpipe(folder, "run", *DAY, "--out", "whole").returncode == 0
    for stage in ("ingest", "features", "fit", "score", "segment", "publish"):
        done = clvpipe(folder, stage, *DAY, "--out", "staged")
        assert (done.returncode, done.stderr) == (0, ""), stage
    assert content_hashes(folder / "staged") == content_hashes(folder / "whole")


def test_a_stage_without_the_one_before(folder):
    assert clvpipe(folder, "features", *DAY).returncode == ExitCode.USAGE
    assert clvpipe(folder, "ingest", *DAY).returncode == 0
    done = clvpipe(folder, "score", *DAY)
    assert done.returncode == ExitCode.USAGE
    assert "`fit` has not been run yet" in done.stderr
    assert clvpipe(folder, "features", *DAY).returncode == 0
    done = clvpipe(folder, "fit", "--as-of", "2024-06-29")
    assert done.returncode == ExitCode.USAGE
    assert "another configuration or date" in done.stderr


def test_a_missing_as_of_suggests_the_latest_day(folder):
    done = clvpipe(folder, "run")
    latest = max(line.split(",")[2] for line in GOOD.splitlines()[1:])
    assert done.returncode == ExitCode.USAGE
    assert f"--as-of {latest}" in done.stderr


def test_yesterday_is_taken(folder):
    done = clvpipe(folder, "run", "--as-of", "yesterday", "--json")
    assert done.returncode == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", json.loads(done.stdout)["as_of"])


def test_the_sample_names_its_own_day(tmp_path):
    done = clvpipe(tmp_path, "run", "cdnow", "--json")
    assert json.loads(done.stdout)["as_of"] == "1997-09-30"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "--as-of", "30.6.2024"), ExitCode.USAGE, "not a day"),
        (("run", "--as-of", "2999-01-01"), ExitCode.USAGE, "lies in the future"),
        (("run", "nope"), ExitCode.USAGE, "cdnow, nightly"),
        (("walk",), ExitCode.USAGE, "No such command"),
        (("run", "--frobnicate"), ExitCode.USAGE, "No such option"),
        (("run", *DAY, "--config", "nope.toml"), ExitCode.CONFIG, "does not exist"),
        (("run", "--as-of", "1999-01-01"), ExitCode.INPUT, "no event lies on or before"),
        (("run", *DAY, "--known-at", "2024-01-01"), ExitCode.USAGE, "extract_date"),
        (("schema", "nope"), ExitCode.USAGE, "customer_segments"),
        (("path",), ExitCode.INPUT, "nothing has been published"),
        (("path", "--dataset", "nope"), ExitCode.USAGE, "customer_segments"),
        (("run", *DAY, "--out", "/proc/nowhere"), ExitCode.STORAGE, "file system refuses"),
    ],
)
def test_exit_codes_and_what_to_do_next(folder, arguments, code, words):
    done = clvpipe(folder, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_without_a_configuration(tmp_path):
    done = clvpipe(tmp_path, "run", *DAY)
    assert done.returncode == ExitCode.CONFIG
    assert "clvpipe init --from FILE" in done.stderr


def test_a_bug_says_where_but_not_what(folder):
    sitecustomize = folder / "patch"
    sitecustomize.mkdir()
    (sitecustomize / "sitecustomize.py").write_text(
        "import clvpipe.stages.features as f\n"
        "def run(context): raise KeyError('customer c0001 has 5000')\n"
        "f.run = run\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{sitecustomize}:{REPOSITORY / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-m", "clvpipe.cli.main", "run", *DAY],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.BUG
    assert "KeyError" in done.stderr and "sitecustomize.py:2" in done.stderr
    assert "c0001" not in done.stderr


def test_no_customer_is_named_in_any_message(folder):
    (folder / "day 2.csv").write_text(LEDGER_HEADER + "t1,secret-name,2024-13-45,secret-amount\n" * 500)
    done = clvpipe(folder, "run", *DAY, "--progress")
    assert done.returncode == ExitCode.QUALITY_GATE
    assert "secret" not in done.stderr + done.stdout


def test_schema_and_path(folder):
    clvpipe(folder, "run", *DAY)
    dictionary = json.loads(clvpipe(folder, "schema", "--json").stdout)["datasets"]
    assert set(dictionary) == set(PUBLISHED)
    shown = clvpipe(folder, "schema", "customer_segments").stdout
    assert "P(alive)" in shown and "存活概率" in shown
    assert all(name in clvpipe(folder, "schema").stdout for name in PUBLISHED)
    file = Path(clvpipe(folder, "path").stdout.strip())
    assert file.is_file() and "versions" in file.parts and "current" not in file.parts
    version = Path(clvpipe(folder, "path", "--version-folder").stdout.strip())
    assert file.is_relative_to(version) and (version / "manifest.json").is_file()
    files = json.loads(clvpipe(folder, "path", "--json").stdout)["files"]
    assert set(files) == set(PUBLISHED) and files["customer_segments"] == str(file)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("wait", [0.0, 0.7, 2.0])
def test_a_signal_ends_the_run_at_once(folder, number, code, wait):
    """A ledger large enough that the run is under way in some stage; readers see what they saw before."""
    rows = ledger_csv(40_000, seed=5)
    (folder / "day 1.csv").write_text(LEDGER_HEADER + "\n".join(rows) + "\n")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-m", "clvpipe.cli.main", "run", *DAY]
    run = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    out = folder / "out" / "nightly"
    under_way = out / "state" / "work" / "warehouse.duckdb"
    while not under_way.exists() and run.poll() is None:
        time.sleep(0.02)
    time.sleep(wait)
    if run.poll() is None:
        run.send_signal(number)
        sent = time.monotonic()
        _, words = run.communicate(timeout=10)
        assert run.returncode in (code, 0), words
        assert run.returncode == 0 or time.monotonic() - sent < 3
        assert "Traceback" not in words and "bug" not in words
    assert not (out / ".staging").exists()
    assert run.returncode == 0 or not (out / "current").exists()
    assert clvpipe(folder, "run", *DAY).returncode == 0


def test_the_path_of_the_history_is_the_folder_of_all_its_files(folder):
    for day in ("2024-05-31", "2024-06-30"):
        assert clvpipe(folder, "run", "--as-of", day).returncode == 0
    pattern = clvpipe(folder, "path", "--dataset", "segment_history").stdout.strip()
    assert pl.read_parquet(pattern)["as_of_date"].n_unique() == 2


def test_a_full_standard_output_is_told(folder):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = f"{sys.executable} -m clvpipe.cli.main run {' '.join(DAY)} --json > /dev/full"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.STORAGE
    assert "standard output refuses" in done.stderr and "in place" in done.stderr


def test_a_closed_pipe_is_no_error(folder):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = f"{sys.executable} -m clvpipe.cli.main schema --json | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_has_the_exit_codes():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, flags=re.MULTILINE)}
    assert listed == {int(code) for code in ExitCode}


def test_every_error_has_an_exit_code_of_its_own():
    codes = [kind.exit_code for kind in ClvpipeError.__subclasses__()]
    assert len(set(codes)) == len(codes) and ExitCode.BUG not in codes


def test_an_error_says_what_where_left_and_next():
    error = ClvpipeError("it broke", where="a.csv, line 3", left="everything", next_step="mend it")
    assert str(error).splitlines() == [
        "it broke",
        "  where: a.csv, line 3",
        "  left as it was: everything",
        "  next: mend it",
    ]


def test_a_header_only_file_is_an_input_error(folder):
    (folder / "day 1.csv").write_text(HEADER)
    assert clvpipe(folder, "run", *DAY).returncode == ExitCode.INPUT


def test_the_example_of_the_readme_runs(tmp_path):
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    config = re.search(r"```toml\n(.*?)```", readme, flags=re.DOTALL)
    assert config is not None
    (tmp_path / "clvpipe.toml").write_text(config[1], encoding="utf-8")
    (tmp_path / "extracts").mkdir()
    rows = "".join(f"a{n};{n % 28 + 1:02d}.06.2024;{n},50;CARD\n" for n in range(1, 60))
    (tmp_path / "extracts" / "trans_20240630.csv").write_text("acct;date;sum;kind\n" + rows, encoding="utf-8")
    done = clvpipe(tmp_path, "run", *DAY)
    assert (done.returncode, done.stderr) == (0, "")
