"""The same inputs give the same bytes: threads, order, splitting, re-delivery and zones change nothing."""

import itertools
import os
import random
import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import LEDGER_HEADER, REPOSITORY, Bench, content_hashes, ledger_csv

LINES = ledger_csv(700, seed=3)
SMALL = ledger_csv(40, seed=11)
# Small enough minima that models are fitted, not only baselines.
CONFIG_TAIL = "[clv]\nminimum_customers = 100\nminimum_repeaters = 50\n"


def _hashes(folder, deliveries, **options):
    folder.mkdir(exist_ok=True)
    bench = Bench(folder)
    bench.config += CONFIG_TAIL
    for number, lines in enumerate(deliveries):
        bench.put(f"{number:03d}.csv", LEDGER_HEADER + "\n".join(lines) + "\n")
    bench.run(**options)
    return content_hashes(bench.folder / "out"), bench


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return _hashes(tmp_path_factory.mktemp("plain"), [LINES])[0]


def test_a_second_run_gives_the_same_bytes(tmp_path, plain):
    assert _hashes(tmp_path, [LINES])[0] == plain


def test_the_fit_is_a_real_one(tmp_path, plain):
    _, bench = _hashes(tmp_path, [LINES])
    assert set(bench.table("customer_segments")["clv_status"]) == {"OK"}


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_do_not_matter(tmp_path, plain, threads):
    assert _hashes(tmp_path, [LINES], threads=threads)[0] == plain


def test_the_order_of_rows_does_not_matter(tmp_path, plain):
    shuffled = LINES.copy()
    random.Random(5).shuffle(shuffled)
    assert _hashes(tmp_path, [shuffled])[0] == plain


def test_splitting_and_redelivery_do_not_matter(tmp_path, plain):
    deliveries = [LINES[::2], LINES[1::2], LINES[100:300], LINES[::-7]]
    assert _hashes(tmp_path, deliveries)[0] == plain


def test_rows_without_ids_may_be_shuffled_too(tmp_path):
    rows = [line.split(",", 1)[1] for line in LINES]
    found = []
    for name, order in (("a", rows), ("b", sorted(rows))):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name).put(
            "a.csv", "customer_id,posted_at,amount\n" + "\n".join(order) + "\n"
        )
        bench.run()
        found.append(content_hashes(bench.folder / "out"))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/St_Johns"])
def test_the_zone_and_locale_of_the_machine_do_not_matter(tmp_path, plain, zone):
    bench = Bench(tmp_path)
    bench.config += CONFIG_TAIL
    bench.put("000.csv", LEDGER_HEADER + "\n".join(LINES) + "\n")
    command = [sys.executable, "-m", "clvpipe.cli.main", "run", "--config", str(bench.config_path)]
    command += ["--as-of", "2024-06-30", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "TZ": zone, "LC_ALL": "C", "PYTHONHASHSEED": str(len(zone))}
    done = subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert content_hashes(tmp_path / "out") == plain


@pytest.mark.slow
@settings(max_examples=8)
@given(data=st.data())
def test_any_permutation_splitting_and_repetition_gives_the_same_bytes(tmp_path_factory, data):
    lines = data.draw(st.permutations(SMALL))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=3)))
    again = data.draw(st.lists(st.sampled_from(SMALL), max_size=5))
    edges = [0, *cuts, len(lines)]
    deliveries = [part for a, b in itertools.pairwise(edges) if (part := lines[a:b])]
    if again:
        deliveries.append(again)
    folder = tmp_path_factory.mktemp("any")
    expected = _hashes(folder / "plain", [SMALL])[0]
    assert _hashes(folder / "drawn", deliveries)[0] == expected


@pytest.mark.slow
@settings(max_examples=6)
@given(data=st.data())
def test_late_deliveries_give_the_same_bytes(tmp_path_factory, data):
    """Rows come in any order over several nights, some of them twice; corrections carry a later date."""
    dated = 'extract_date = { column = "sent" }\n'
    sent = [f"{line},2024-06-{1 + n % 9:02d}" for n, line in enumerate(SMALL)]
    corrections = [
        f"{line.rsplit(',', 1)[0]},99.50,2024-06-{20 + n % 3:02d}" for n, line in enumerate(SMALL[::5])
    ]
    rows = data.draw(st.permutations(sent + corrections))
    nights = data.draw(st.integers(1, 4))
    folder = tmp_path_factory.mktemp("late")
    found = []
    for name, deliveries in (
        ("once", [sent + corrections]),
        ("nights", [rows[n::nights] for n in range(nights)]),
    ):
        (folder / name).mkdir()
        bench = Bench(folder / name)
        bench.config += dated + CONFIG_TAIL
        for number, lines in enumerate(deliveries):
            content = LEDGER_HEADER.replace("amount", "amount,sent") + "\n".join(lines) + "\n"
            bench.put(f"{number:03d}.csv", content).run(("ingest",))
        bench.run()
        found.append(content_hashes(bench.folder / "out"))
    assert found[0] == found[1]


def test_what_comes_after_as_of_changes_nothing(tmp_path):
    early = _hashes(tmp_path / "a", [SMALL], as_of=date(2024, 3, 31))[0]
    future = [f"late{n},c{n:04d},2024-07-0{n % 9 + 1},50.00" for n in range(80)]
    late = _hashes(tmp_path / "b", [SMALL, future], as_of=date(2024, 3, 31))[0]
    assert late == early
