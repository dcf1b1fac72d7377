"""Who would move under another configuration: just who does when it is published, and nothing is changed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from clvpipe.config import load_settings
from clvpipe.errors import ConfigError, ExitCode, InputError, LockedError, QualityGateError, StorageError
from clvpipe.locations import resource_dir
from clvpipe.operations.forget import forget
from clvpipe.operations.preview import Preview, preview
from clvpipe.publish.lock import only_writer
from clvpipe.stages.context import Watch
from clvpipe.stages.session import Request, run_stages
from tests.commands import clvpipe
from tests.support import LEDGER_HEADER, REPOSITORY, Bench, ledger_csv, manifest, published

MINIMA = "[clv]\nminimum_customers = 100\nminimum_repeaters = 50\n"
NAMED = 'extract_date = { file_name = "(?P<date>[0-9]{8})", format = "%Y%m%d" }\n'
DAY = date(2024, 6, 30)
STATUS_OF = {"quadrant": "quadrant_status", "value_tier": "value_tier_status", "rfm_group": "rfm_status"}
STAGES = ("ingest", "features", "fit", "score", "segment", "publish")
SLEEP = "import time\ndef run(context):\n    open('asleep', 'w').close()\n    time.sleep(60)"


@pytest.fixture
def filled(bench: Bench) -> Bench:
    bench.config += MINIMA
    return bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(400)) + "\n")


def _request(bench: Bench, config: str | None = None, **options: object) -> Request:
    path = bench.folder / "new.toml"
    path.write_text(bench.config if config is None else config, encoding="utf-8")
    known = {"settings": load_settings(path), "config_path": path, "out": bench.folder / "out"}
    return Request(**{**known, "stages": STAGES, "as_of": None, "threads": 2, **options})  # type: ignore[arg-type]


def _preview(bench: Bench, config: str | None = None, **options: object) -> Preview:
    return preview(_request(bench, config, **options), None, Watch())


def _bytes(out: Path) -> dict[str, bytes | str]:
    """Everything below a folder, but for who held it last."""
    found: dict[str, bytes | str] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif name != "state/lock":
            found[name] = path.read_bytes() if path.is_file() else "a folder"
    return found


def _labels(table: pl.DataFrame, scheme: str) -> dict[str, str]:
    label = pl.coalesce(scheme, STATUS_OF[scheme]) if scheme in STATUS_OF else pl.col(scheme)
    return dict(table.select("customer_id", label).iter_rows())


def _movers(before: pl.DataFrame, after: pl.DataFrame, scheme: str) -> dict[str, tuple[str, str]]:
    """Who is on both sides with another label, from which to which."""
    old, new = _labels(before, scheme), _labels(after, scheme)
    return {name: (old[name], new[name]) for name in old.keys() & new.keys() if old[name] != new[name]}


def _previewed(found: Preview, scheme: str) -> dict[tuple[str, str], int]:
    moves = next(one for one in found.schemes if one.scheme == scheme).moves
    return {(str(move.from_label), str(move.to_label)): move.customers for move in moves}


# ---- what it says


def test_the_same_configuration_moves_nobody_and_nothing_changes(filled):
    filled.run()
    before = _bytes(filled.folder / "out")
    found = _preview(filled)
    assert [scheme.moved for scheme in found.schemes] == [0] * 5
    assert {scheme.compared for scheme in found.schemes} == {400}
    assert found.thresholds == () and found.new_deliveries == 0
    assert (found.customers_new, found.customers_gone) == (0, 0)
    assert (found.as_of, found.against) == (DAY, manifest(filled.folder / "out")["version"])
    assert _bytes(filled.folder / "out") == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "scheme"),
    [
        ("[lifecycle]\nchurn_days = 60\n", "lifecycle_state"),
        ("[value_tier]\nhigh_share = 0.05\n", "value_tier"),
        ('[quadrants]\ncurrent_theta = { method = "quantile", parameter = 0.8 }\n', "quadrant"),
        ("[rfm]\nwindow_days = 90\n", "rfm_group"),
        ("[purchases]\ndefault = { purchase = true, margin_rate = 0.5 }\n", "value_tier"),
    ],
)
def test_just_those_move_who_do_when_it_is_published(filled, change, scheme):
    filled.run()
    standing = _bytes(filled.folder / "out")
    found = _preview(filled, filled.config + change)
    assert _bytes(filled.folder / "out") == standing
    real = filled.folder / "real"
    run_stages(_request(filled, filled.config + change, out=real, as_of=DAY))
    before, after = filled.table("customer_segments"), published(real, "customer_segments")
    for one in found.schemes:
        moves = _movers(before, after, one.scheme)
        assert _previewed(found, one.scheme) == Counter(moves.values())
        movers = after.filter(pl.col("customer_id").is_in(list(moves)))
        assert (one.moved, one.compared) == (movers.height, before.height)
        for column in ("current_value", "future_value_12m"):
            assert getattr(one, column) == (movers[column].sum() if movers.height else None)
    if "margin_rate" not in change:
        assert next(one for one in found.schemes if one.scheme == scheme).moved > 0
    old, new = (
        dict(published(out, "thresholds").select("name", "value").iter_rows())
        for out in (filled.folder / "out", real)
    )
    assert {one.name: (one.before, one.after) for one in found.thresholds} == {
        name: (old.get(name), new.get(name)) for name in old | new if old.get(name) != new.get(name)
    }


def test_sums_are_exact_decimals_of_those_who_move(filled):
    filled.run()
    scheme = _preview(filled, filled.config + "[lifecycle]\nchurn_days = 60\n").schemes[0]
    assert isinstance(scheme.current_value, Decimal)
    assert scheme.current_value == sum(move.current_value or 0 for move in scheme.moves)
    assert scheme.moved == sum(move.customers for move in scheme.moves)


def test_a_calibration_that_stands_is_used_whatever_the_file_is_called(filled):
    """The quarter's calibration is of its first day; a change of lifecycle rules alone makes no new one."""
    filled.run(as_of=date(2024, 4, 10))
    filled.run()
    found = _preview(filled, filled.config + "[lifecycle]\nchurn_days = 60\n")
    assert [one.name for one in found.thresholds] == ["lifecycle.churn_days"]
    assert {one.scheme for one in found.schemes if one.moved} == {"lifecycle_state"}
    definitions = _preview(filled, filled.config + "[rfm]\nwindow_days = 364\n")
    assert any(one.name.startswith("value_tier.cut") for one in definitions.thresholds)


def test_deliveries_since_the_publication_are_seen_and_counted(filled):
    filled.run()
    filled.put("b.csv", LEDGER_HEADER + "".join(f"n{n},new{n},2024-06-01,5\n" for n in range(7)))
    before = _bytes(filled.folder / "out")
    found = _preview(filled)
    assert (found.new_deliveries, found.customers_new, found.customers_gone) == (1, 7, 0)
    assert [(one.compared, one.moved) for one in found.schemes] == [(400, 0)] * 5
    assert _bytes(filled.folder / "out") == before
    filled.run(("ingest",))
    assert _preview(filled).new_deliveries == 1


def test_customers_whom_the_new_configuration_does_not_know(filled):
    filled.put("people.txt", "customer_id\nc0001\nnobody\nno-one\n")
    without = filled.config
    filled.config += '[inputs.customers]\nfiles = ["people.txt"]\n'
    filled.run()
    found = _preview(filled, without)
    assert (found.customers_new, found.customers_gone) == (0, 2)
    assert [(one.compared, one.moved) for one in found.schemes] == [(400, 0)] * 5


def test_what_is_read_otherwise_is_read_into_the_copy_alone(filled):
    filled.run()
    other = filled.config.replace("[inputs.transactions]\n", '[inputs.transactions]\ndecimal_mark = ","\n')
    before = _bytes(filled.folder / "out")
    with pytest.raises(QualityGateError, match="were set aside") as refused:
        _preview(filled, other)
    assert "preview-" not in str(refused.value) and refused.value.left == "everything"
    assert _bytes(filled.folder / "out") == before
    zone = filled.config.replace('currency = "EUR"', 'currency = "EUR"\ntimezone = "Asia/Shanghai"')
    assert _preview(filled, zone).new_deliveries == 0
    assert _bytes(filled.folder / "out") == before
    (filled.folder / "a.csv").rename(filled.folder / "gone")
    filled.put("b.csv", LEDGER_HEADER + "x1,c0001,2024-06-01,5\n")
    with pytest.raises(InputError, match="their files are gone") as gone:
        _preview(filled, zone)
    part = next((filled.layout.state / "parts" / "transactions").glob("*.parquet"))
    assert str(part) in str(gone.value)
    assert _bytes(filled.folder / "out") == before


# ---- of which day, and against what


def test_it_is_of_the_day_and_the_knowledge_of_the_publication(filled):
    filled.config = filled.config.replace(MINIMA, NAMED + MINIMA)
    (filled.folder / "a.csv").rename(filled.folder / "a20240101.csv")
    filled.put("b20240601.csv", LEDGER_HEADER + "x1,late,2024-05-01,5\n")
    filled.run(as_of=date(2024, 5, 15), known_at=date(2024, 5, 20))
    found = _preview(filled)
    assert (found.as_of, found.known_at) == (date(2024, 5, 15), date(2024, 5, 20))
    assert (found.new_deliveries, found.customers_new) == (0, 0)


def test_a_kept_publication_of_another_day(filled):
    filled.run(as_of=date(2024, 5, 31))
    earlier = manifest(filled.folder / "out")["version"]
    filled.run()
    found = _preview(filled, as_of=date(2024, 5, 31))
    assert found.against == earlier
    assert [one.moved for one in found.schemes] == [0] * 5
    with pytest.raises(InputError, match="no publication that is kept is of 2024-04-30") as unknown:
        _preview(filled, as_of=date(2024, 4, 30))
    assert "--against" in str(unknown.value)


def test_against_another_configuration_of_any_day(filled):
    filled.run()
    old = filled.folder / "old.toml"
    old.write_text(filled.config + "[lifecycle]\nchurn_days = 60\n")
    before = _bytes(filled.folder / "out")
    for day in (None, date(2024, 4, 30)):
        request = _request(filled, filled.config + "[lifecycle]\nchurn_days = 90\n", as_of=day)
        other = replace(request, settings=load_settings(old), config_path=old)
        found = preview(request, other, Watch())
        assert (found.as_of, found.against) == (day or DAY, str(old))
        assert [(one.name, one.before, one.after) for one in found.thresholds] == [
            ("lifecycle.churn_days", 60, 90)
        ]
        assert found.schemes[0].moved > 0 and found.new_deliveries == 0
    assert _bytes(filled.folder / "out") == before


def test_where_nothing_has_been_published(filled):
    with pytest.raises(InputError, match="nothing has been published") as nothing:
        _preview(filled)
    assert "clvpipe run" in str(nothing.value)
    assert not (filled.folder / "out").exists()


def test_a_damaged_publication_is_not_compared_with(filled):
    filled.run()
    path = next((filled.layout.current.resolve() / "data" / "customer_segments").glob("*"))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match="missing or damaged"):
        _preview(filled)


# ---- privacy


def test_under_pseudonyms_and_never_across_keys(filled):
    for name, key in (("key", "0123456789abcdef" * 2), ("other", "fedcba9876543210" * 2)):
        (filled.folder / name).write_text(key)
        (filled.folder / name).chmod(0o600)
    filled.config += '[privacy]\nidentifiers = "hmac"\nkey_file = "key"\n'
    filled.run()
    before = _bytes(filled.folder / "out")
    found = _preview(filled, filled.config + "[lifecycle]\nchurn_days = 60\n")
    assert found.schemes[0].compared == 400 and found.schemes[0].moved > 0
    for config in (filled.config.replace('"key"', '"other"'), filled.config.partition("[privacy]")[0]):
        with pytest.raises(ConfigError, match="other ids"):
            _preview(filled, config)
    assert _bytes(filled.folder / "out") == before


def test_after_an_erasure(filled):
    filled.run()
    settings = load_settings(filled.config_path)
    forget(filled.layout, settings, filled.folder, ["c0001", "c0002"], run_id="r", watch=Watch())
    filled.put("b.csv", LEDGER_HEADER + "x1,c0001,2024-06-01,5\nx2,somebody,2024-06-01,5\n")
    before = _bytes(filled.folder / "out")
    found = _preview(filled)
    assert [(one.compared, one.moved) for one in found.schemes] == [(398, 0)] * 5
    assert found.customers_new == 1, "who was erased does not come back"
    assert _bytes(filled.folder / "out") == before


# ---- the copy is always gone, and the folder held


def test_one_at_a_time(filled):
    filled.run()
    with only_writer(filled.layout.lock, {}), pytest.raises(LockedError):
        _preview(filled)


def test_a_failure_leaves_no_copy(filled, monkeypatch):
    filled.run()
    before = _bytes(filled.folder / "out")
    monkeypatch.setattr("clvpipe.stages.segment.run", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _preview(filled)
    assert _bytes(filled.folder / "out") == before


def _start(folder: Path, *arguments: str, stage: str) -> subprocess.Popen[str]:
    """The command, with the stage `score` replaced."""
    patch = folder / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(f"import clvpipe.stages.score as s\n{stage}\ns.run = run\n")
    return subprocess.Popen(
        [sys.executable, "-m", "clvpipe.cli.main", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": f"{patch}:{REPOSITORY / 'src'}"}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _under_way(bench: Bench) -> subprocess.Popen[str]:
    """A preview that sleeps in `score`."""
    process = _start(bench.folder, "preview", "--out", "out", stage=SLEEP)
    deadline = time.monotonic() + 60
    while not (bench.folder / "asleep").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "preview", "forget"])
def test_what_a_killed_preview_leaves_is_swept(filled, command):
    filled.run()
    filled.config_path.write_text(filled.config)
    process = _under_way(filled)
    process.kill()
    process.communicate()
    assert list(filled.layout.work.glob("preview-*"))
    asked = {"run": ("--as-of", "2024-06-30"), "forget": ("c0001",), "preview": ()}[command]
    done = clvpipe(filled.folder, command, *asked, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert list(filled.layout.work.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_takes_the_copy_along(filled, number, code):
    filled.run()
    before = _bytes(filled.folder / "out")
    process = _under_way(filled)
    process.send_signal(number)
    _, words = process.communicate(timeout=10)
    assert process.returncode == code, words
    assert _bytes(filled.folder / "out") == before


# ---- the command line


def test_a_table_for_people(filled):
    filled.run()
    new = filled.folder / "new.toml"
    new.write_text(filled.config + "[lifecycle]\nchurn_days = 60\n")
    before = _bytes(filled.folder / "out")
    done = clvpipe(filled.folder, "preview", "--config", "new.toml", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    moved = _preview(filled, new.read_text()).schemes[0]
    assert f"lifecycle_state: {moved.moved:,} of 400 customers would move" in done.stdout
    assert f"{moved.current_value:,.2f}" in done.stdout
    assert [line.split() for line in done.stdout.splitlines()][-1] == ["lifecycle.churn_days", "180", "60"]
    assert "c0" not in done.stdout.replace("ONE_TIME", "")
    assert _bytes(filled.folder / "out") == before, "the journal knows nothing of it"


def test_json_for_programs(filled):
    filled.run()
    (filled.folder / "new.toml").write_text(filled.config + "[value_tier]\nhigh_share = 0.05\n")
    arguments = ("--config", "new.toml", "--out", "out", "--json")
    content = json.loads(clvpipe(filled.folder, "preview", *arguments).stdout)
    assert (content["exit_code"], content["as_of"], content["known_at"]) == (0, "2024-06-30", None)
    tiers = next(one for one in content["schemes"] if one["scheme"] == "value_tier")
    assert tiers["moved"] == sum(move["customers"] for move in tiers["moves"]) > 0
    assert Decimal(tiers["current_value"]) == sum(Decimal(move["current_value"]) for move in tiers["moves"])
    names = [one["name"] for one in content["thresholds"]]
    assert names == sorted(names) and "value_tier.high_share" in names
    against = json.loads(clvpipe(filled.folder, "preview", *arguments, "--against", "clvpipe.toml").stdout)
    assert against["schemes"] == content["schemes"] and against["against"] == "clvpipe.toml"


@pytest.mark.parametrize(
    ("config", "arguments", "code"),
    [
        ("x = ", (), ExitCode.CONFIG),
        ("[lifecycle]\nchurn_days = 0\n", (), ExitCode.CONFIG),
        ("", ("--against", "nope.toml"), ExitCode.CONFIG),
        ("", ("--as-of", "2024-06-29"), ExitCode.INPUT),
        ("", ("--as-of", "2999-01-01"), ExitCode.USAGE),
        ("", ("--out", "elsewhere"), ExitCode.INPUT),
    ],
)
def test_refusals(filled, config, arguments, code):
    filled.run()
    (filled.folder / "new.toml").write_text(filled.config + config)
    before = _bytes(filled.folder)
    done = clvpipe(filled.folder, "preview", "--config", "new.toml", "--out", "out", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert {name: content for name, content in _bytes(filled.folder).items() if name != "out/state/lock"} == {
        name: content for name, content in before.items() if name != "out/state/lock"
    }


def test_the_example_of_the_manual(sample, tmp_path):
    """All its lines but the first, which names the version."""
    manual = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    example = manual.partition("$ clvpipe preview sample")[2].partition("```")[0].splitlines()[2:]
    own = (resource_dir("config") / "sample.toml").read_text(encoding="utf-8")
    change = "[lifecycle]\nchurn_days = 120\n\n[value_tier]\nhigh_share = 0.10\n"
    (tmp_path / "strict.toml").write_text(f"{own}\n{change}", encoding="utf-8")
    done = clvpipe(tmp_path, "preview", "sample", "--config", "strict.toml", "--out", str(sample))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == example


def test_calibrate_by_hand(filled):
    """It is a run in the journal, as all that changes what is kept; its words go to standard output."""
    filled.run()
    filled.config_path.write_text(filled.config)
    arguments = ("calibrate", "--as-of", "2024-06-30", "--out", "out")
    same = clvpipe(filled.folder, *arguments)
    assert (same.returncode, same.stderr) == (0, "")
    assert "nothing differs from 2024-06-30-" in same.stdout
    assert "until the quarter is over" in same.stdout
    filled.put("b.csv", LEDGER_HEADER + "".join(f"n{n},new{n},2024-06-01,5\n" for n in range(70)))
    content = json.loads(clvpipe(filled.folder, *arguments, "--json").stdout)
    assert content["exit_code"] == 0 and content["before"] != content["identity"]
    assert {"name", "before", "after"} == content["changes"][0].keys()
    shown = clvpipe(filled.folder, "calibrate", "--as-of", "2024-03-31", "--out", "out").stdout
    assert "none stood for this day before" in shown and "purchases.estimates.r" in shown
    assert "new1" not in shown and "c0001" not in shown
    lines = [json.loads(line) for line in filled.layout.journal.read_text().splitlines()]
    ended = [line for line in lines if line["event"] == "ended"]
    assert [(line["command"], line["exit_code"], line["version"]) for line in ended] == [
        ("calibrate", 0, None)
    ] * 3
    (filled.folder / "clvpipe.toml").write_text("x = ")
    assert clvpipe(filled.folder, *arguments).returncode == ExitCode.CONFIG
