"""What is held against the last publication and the deliveries before, and when that stops a run."""

from datetime import date

import polars as pl
import pytest

from clvpipe.errors import ConfigError, QualityGateError
from tests.support import LEDGER_HEADER, Bench, ledger_csv, manifest

SNAPSHOT = 'delivery = "snapshot"\nextract_date = { file_name = "(?P<date>[0-9]{8})", format = "%Y%m%d" }\n'
LINES = ledger_csv(100)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.config += SNAPSHOT
    return bench.put("t20240601.csv", _csv(LINES))


def _csv(lines) -> str:
    return LEDGER_HEADER + "\n".join(lines) + "\n"


def _check(bench: Bench, name: str) -> list[dict]:
    return bench.table("data_quality").filter(pl.col("check_name") == name).to_dicts()


# ---- volume


def test_half_a_snapshot_is_refused(bench):
    bench.run()
    standing = bench.layout.current.readlink()
    bench.put("t20240602.csv", _csv(LINES[: len(LINES) // 2]))
    with pytest.raises(
        QualityGateError, match=f"{len(LINES)} events .*, and only {len(LINES) // 2} now"
    ) as caught:
        bench.run()
    assert "--accept-volume" in str(caught.value)
    assert bench.layout.current.readlink() == standing and not bench.layout.staging.exists()


def test_a_refused_run_leaves_no_calibration(bench):
    bench.run(as_of=date(2024, 3, 31))
    kept = sorted(bench.layout.calibrations.iterdir())
    bench.put("t20240602.csv", _csv(LINES[: len(LINES) // 2]))
    with pytest.raises(QualityGateError):
        bench.run()
    assert sorted(bench.layout.calibrations.iterdir()) == kept


def test_a_small_fall_is_none(bench):
    bench.run()
    bench.put("t20240602.csv", _csv(LINES[: -len(LINES) // 20])).run()
    assert [row["passed"] for row in _check(bench, "volume")] == [True, True]


def test_what_somebody_has_found_right_is_published_and_marked(bench):
    bench.run()
    bench.put("t20240602.csv", _csv(LINES[: len(LINES) // 2])).run(accept_volume=True)
    rows = _check(bench, "volume")
    assert {row["severity"] for row in rows} == {"INFORMS"}
    assert {row["subject"]: row["passed"] for row in rows}["events"] is False
    assert manifest(bench.folder / "out")["volume"]["events"] == len(LINES) // 2


def test_the_limit_is_configured(bench):
    bench.run()
    bench.config += "[quality]\nmaximum_volume_fall = 0.6\n"
    bench.put("t20240602.csv", _csv(LINES[: len(LINES) // 2])).run()


def test_an_earlier_day_is_not_held_against_a_later_one(bench):
    bench.run()
    bench.run(as_of=date(2023, 6, 30))


def test_a_rise_is_published_and_said(bench):
    bench.run()
    more = [f"n{n},new{n},2024-06-01,5" for n in range(len(LINES))]
    warnings = bench.put("t20240602.csv", _csv([*LINES, *more])).run()[-1].result.warnings
    assert any(f"{2 * len(LINES)} events, and only {len(LINES)}" in warning for warning in warnings)
    assert bench.run()[-1].result.notes[0].startswith("unchanged")


# ---- drift of the delivered columns

DRIFTED = "transaction_id,customer_id,posted_at,amount,branch_code\nd1,dora,2024-06-01,5,77\n"


@pytest.fixture
def appended(tmp_path) -> Bench:
    (tmp_path / "appended").mkdir()
    return Bench(tmp_path / "appended").put("a.csv", _csv(LINES))


def test_other_columns_are_said_and_loaded(appended):
    appended.run()
    assert _check(appended, "schema_drift")[0]["passed"]
    result = appended.put("b.csv", DRIFTED).run()[-1].result
    assert any(
        "b.csv has other columns than the delivery before: with branch_code" in w for w in result.warnings
    )
    assert "dora" in appended.table("customer_segments")["customer_id"].to_list()
    appended.put("c.csv", DRIFTED.replace("d1", "d2")).run()
    assert _check(appended, "schema_drift")[0]["passed"]


def test_a_column_that_vanishes_is_said(appended):
    appended.run()
    warnings = (
        appended.put("b.csv", "customer_id,posted_at,amount\ndora,2024-06-01,5\n").run()[-1].result.warnings
    )
    assert any("without transaction_id" in warning for warning in warnings)


def test_the_order_of_columns_is_no_drift(appended):
    appended.run()
    appended.put("b.csv", "amount,posted_at,customer_id,transaction_id\n5,2024-06-01,dora,d1\n").run()
    assert _check(appended, "schema_drift")[0]["passed"]


def test_frozen_columns_keep_a_drifted_delivery_out_of_the_ledger(appended):
    appended.config += '[quality]\nschema_drift = "freeze"\n'
    appended.run()
    standing = appended.layout.current.readlink()
    appended.put("b.csv", DRIFTED)
    with pytest.raises(QualityGateError, match="with branch_code"):
        appended.run()
    assert appended.layout.current.readlink() == standing
    assert len(list(appended.layout.parts("transactions").iterdir())) == 1
    (appended.folder / "b.csv").unlink()
    assert appended.run()[-1].result.notes[0].startswith("unchanged")


# ---- warnings that block


def test_a_warning_blocks_where_the_bank_says_so(appended):
    appended.config += '[quality]\nblocking = ["events_are_stale"]\n'
    appended.run()
    standing = appended.layout.current.readlink()
    with pytest.raises(QualityGateError, match="days that nobody delivered"):
        appended.run(as_of=date(2024, 9, 30))
    assert appended.layout.current.readlink() == standing


def test_strict_lets_no_warning_pass(appended):
    appended.put("b.csv", LEDGER_HEADER + "t0-0,other,2024-06-01,5\n")
    minima = "[clv]\nminimum_customers = 1\nminimum_repeaters = 1\nmaximum_value_correlation = 1\n"
    appended.config += minima
    appended.run()
    with pytest.raises(QualityGateError, match="more than one customer"):
        appended.run(strict=True)


def test_a_check_that_does_not_exist_cannot_block(appended):
    appended.config += '[quality]\nblocking = ["events_are_stail"]\n'
    with pytest.raises(ConfigError, match="events_are_stail"):
        appended.run()
