"""The crontab and the systemd units do their work as they stand, in the bare environment that they meet."""

import configparser
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from clvpipe.errors import ExitCode
from clvpipe.locations import resource_dir
from tests.support import CONFIG, LEDGER_HEADER, ledger_csv, manifest

CRONTAB = resource_dir("pipelines") / "clvpipe.crontab"
SERVICE = resource_dir("pipelines") / "clvpipe.service"
TIMER = resource_dir("pipelines") / "clvpipe.timer"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the folder that the files ask for, and deliveries up to the day before yesterday."""
    job = tmp_path / "home" / "clvpipe"
    (job / "extracts").mkdir(parents=True)
    (job / ".venv").symlink_to(sys.prefix)
    assert (job / ".venv" / "bin" / "clvpipe").is_file()
    (job / "clvpipe.toml").write_text(CONFIG.replace('"*.csv*"', '"extracts/*.csv"'), encoding="utf-8")
    rows = ledger_csv(40, end=date.today() - timedelta(days=2))
    (job / "extracts" / "day.csv").write_text(LEDGER_HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    return job.parent


def crontab() -> tuple[dict[str, str], str, list[str]]:
    """Variables, the one schedule, and its command split as cron does at every bare percent sign."""
    lines = [line for line in CRONTAB.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    variables = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]+=", line))
    (job,) = [line for line in lines if not re.match(r"[A-Z]+=", line)]
    *schedule, command = job.split(maxsplit=5)
    first, *rest = re.split(r"(?<!\\)%", command)
    return variables, " ".join(schedule), [first.replace(r"\%", "%"), *rest]


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def as_cron(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    variables, _, _ = crontab()
    environment = {**variables, "HOME": str(home), "LOGNAME": "x"}
    arguments = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    return subprocess.run(
        [*arguments, variables["SHELL"], "-c", command],
        cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def as_systemd(home: Path) -> subprocess.CompletedProcess[str]:
    service = {name: value.replace("%h", str(home)) for name, value in unit(SERVICE)["Service"].items()}
    return subprocess.run(
        shlex.split(service["ExecStart"]),
        cwd=service["WorkingDirectory"],
        env={"HOME": str(home), "LOGNAME": "x", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        umask=int(service["UMask"], 8),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_crontab_publishes_and_says_nothing(home):
    _, _, (command,) = crontab()
    for _ in range(2):
        done = as_cron(home, command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    day = date.fromisoformat(manifest(home / "clvpipe" / "out" / "nightly")["as_of"])
    assert date.today() - timedelta(days=2) <= day <= date.today()


def test_the_crontab_speaks_when_something_is_wrong(home):
    _, _, (command,) = crontab()
    (home / "clvpipe" / "extracts" / "day.csv").write_text("")
    done = as_cron(home, command)
    assert done.returncode == ExitCode.INPUT and done.stderr.startswith("clvpipe: error: ")
    shutil.rmtree(home / "clvpipe")
    done = as_cron(home, command)
    assert done.returncode != 0 and "clvpipe" in done.stderr


def test_the_crontab_is_one_that_cron_takes():
    variables, schedule, commands = crontab()
    assert set(variables) == {"SHELL", "PATH", "MAILTO"} and all(variables.values())
    assert not any("$" in value for value in variables.values())
    assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule) and len(commands) == 1
    assert CRONTAB.read_bytes().endswith(b"\n") and b"\r" not in CRONTAB.read_bytes()


def test_the_crontab_explains_every_exit_code():
    comments = re.findall(
        r"^#   (\d+(?:, +\d+)?) +\w", CRONTAB.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert {int(code) for line in comments for code in line.split(",")} == {int(code) for code in ExitCode}


def test_the_service_publishes_and_says_nothing(home):
    done = as_systemd(home)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    out = home / "clvpipe" / "out" / "nightly"
    published = [out, out / "versions", *(out / "current").resolve().rglob("*")]
    for path in published:
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640), path
    assert stat.S_IMODE((out / "state").stat().st_mode) == 0o700


def test_cron_and_systemd_run_the_same_command():
    _, _, (command,) = crontab()
    service = unit(SERVICE)["Service"]
    assert f"cd {service['WorkingDirectory']} && {service['ExecStart']}" == command.replace(
        '"$HOME/clvpipe"', "%h/clvpipe"
    ).replace(".venv", "%h/clvpipe/.venv")


def test_the_service_is_shut_in():
    service = unit(SERVICE)["Service"]
    assert service["Type"] == "oneshot"
    for wall in ("NoNewPrivileges", "PrivateTmp", "PrivateNetwork"):
        assert service[wall] == "yes"
    assert (service["ProtectSystem"], service["ReadWritePaths"]) == ("strict", service["WorkingDirectory"])
    assert (service["UMask"], service["RestrictAddressFamilies"]) == ("0077", "AF_UNIX")
    assert {"MemoryMax", "Nice", "TimeoutStopSec"} <= set(service)
    assert not {"SuccessExitStatus", "Restart", "User"} & set(service)


def test_the_timer_makes_up_for_a_machine_that_was_off():
    timer = unit(TIMER)
    assert timer["Timer"]["Persistent"] == "true" and timer["Install"]["WantedBy"] == "timers.target"
    assert set(timer["Timer"]) == {"OnCalendar", "Persistent", "RandomizedDelaySec"}
    assert TIMER.stem == SERVICE.stem


def test_systemd_has_nothing_to_say_of_the_units(home):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(SERVICE), str(TIMER)],
        env={**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if "clvpipe" in line]
    assert (done.returncode, said) == (0, [])
