"""What is frozen stays frozen, and is made anew when it is due."""

import json
from datetime import date

import polars as pl
import pytest

from clvpipe.calibration import Reference, read
from clvpipe.config import load_settings
from clvpipe.errors import ConfigError, ModelGateError, QualityGateError
from clvpipe.models.crosscheck import Crosscheck
from clvpipe.operations.calibrate import calibrate, frozen_numbers
from clvpipe.stages import fit as fit_stage
from clvpipe.stages.context import Watch
from clvpipe.stages.session import Request
from tests.support import LEDGER_HEADER, Bench, ledger_csv

MINIMA = "[clv]\nminimum_customers = 100\nminimum_repeaters = 50\n"


@pytest.fixture
def filled(bench: Bench) -> Bench:
    bench.config += MINIMA
    bench.as_of = date(2024, 4, 10)
    return bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(500, end=date(2024, 6, 30))) + "\n")


def _calibrations(bench):
    return sorted(path.stem for path in bench.layout.calibrations.glob("*.json"))


def test_one_calibration_serves_a_quarter(filled):
    filled.run()
    first = filled.table("thresholds")
    filled.run(as_of=date(2024, 6, 30))
    assert _calibrations(filled) == ["2024-04-10"]
    assert filled.table("thresholds").drop("as_of_date").equals(first.drop("as_of_date"))
    assert set(filled.table("customer_segments")["calibration_id"].str.slice(0, 10)) == {"2024-04-10"}
    filled.run(as_of=date(2024, 7, 1))
    assert _calibrations(filled) == ["2024-04-10", "2024-07-01"]


def test_a_backfilled_day_uses_none_from_its_future(filled):
    filled.run(as_of=date(2024, 6, 30))
    filled.run(as_of=date(2024, 5, 31))
    assert _calibrations(filled) == ["2024-05-31", "2024-06-30"]


def test_with_a_calibration_a_label_is_a_function_of_the_own_row(filled):
    """New customers, however rich, change nobody else's scores and labels."""
    filled.run()
    before = filled.table("customer_segments")
    rich = "".join(f"r{n}-{k},rich{n},2024-0{k + 1}-15,90000\n" for n in range(200) for k in range(3))
    filled.put("b.csv", LEDGER_HEADER + rich).run()
    after = filled.table("customer_segments")
    assert after.height == before.height + 200
    assert after.filter(~pl.col("customer_id").str.starts_with("rich")).equals(before)


def test_other_definitions_need_another_calibration(filled):
    notes = filled.run()[2].result.notes
    assert notes[0].endswith("made")
    assert filled.run()[2].result.notes[0].endswith("stands")
    filled.config += "[rfm]\nwindow_days = 180\n"
    assert filled.run()[2].result.notes[0].endswith("made")
    # Until when a customer costs something shapes the current value; when one has churned does not.
    for setting, word in (("churn_days = 120", "stands"), ("new_days = 10", "made")):
        filled.config += f"[lifecycle]\n{setting}\n" if "[lifecycle]" not in filled.config else f"{setting}\n"
        assert filled.run()[2].result.notes[0].endswith(word), setting


def test_a_run_that_knows_less_takes_no_calibration_that_knew_more_and_gives_the_nightly_run_none(filled):
    filled.config = filled.config.replace(
        MINIMA, 'extract_date = { file_name = "(?P<date>[0-9]{8})", format = "%Y%m%d" }\n' + MINIMA
    )
    (filled.folder / "a.csv").rename(filled.folder / "a20240101.csv")
    filled.put(
        "b20240405.csv", LEDGER_HEADER + "\n".join(f"x{n},x{n},2024-04-01,5" for n in range(300)) + "\n"
    )
    filled.run(known_at=date(2024, 3, 1))
    assert filled.run()[2].result.notes[0].endswith("made")
    assert _calibrations(filled) == ["2024-04-10", "2024-04-10-known-2024-03-01"]
    assert filled.run(known_at=date(2024, 3, 1))[2].result.notes[0].endswith("stands")
    # What the nightly run made serves days that know as much; what knew less than its own day serves none.
    notes = filled.run(as_of=date(2024, 5, 1), known_at=date(2024, 5, 1))[2].result.notes
    assert notes[0].endswith("stands")
    (filled.layout.calibrations / "2024-04-10.json").unlink()
    notes = filled.run(as_of=date(2024, 5, 1), known_at=date(2024, 5, 1))[2].result.notes
    assert notes[0].endswith("made") and "2024-05-01" in notes[0]


def test_strict_fails_where_the_data_cannot_carry_a_model(bench):
    bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(60)) + "\n")
    with pytest.raises(ModelGateError, match="TOO_FEW_CUSTOMERS"):
        bench.run(strict=True)
    assert not bench.layout.current.exists() and _calibrations(bench) == []
    bench.run()
    with pytest.raises(ModelGateError, match="TOO_FEW_CUSTOMERS"):
        bench.run(strict=True)


def test_refit_makes_it_anew(filled):
    filled.run()
    path = filled.layout.calibrations / "2024-04-10.json"
    first = path.read_text()
    filled.put("b.csv", LEDGER_HEADER + "\n".join(f"x{n},x{n},2024-04-01,5" for n in range(300)) + "\n")
    filled.run()
    assert path.read_text() == first
    filled.run(refit=True)
    assert path.read_text() != first


def test_a_damaged_artefact_is_refused(filled):
    filled.run()
    path = filled.layout.calibrations / "2024-04-10.json"
    for damage in ("{", json.dumps({**json.loads(path.read_text()), "extra": 1})):
        whole = path.read_text()
        path.write_text(damage)
        with pytest.raises(ConfigError, match="calibration cannot be read"):
            filled.run()
        path.write_text(whole)


def test_an_artefact_of_an_earlier_version_is_made_anew(filled):
    """An upgrade may change the fields of the artefact, and with them the definitions that it is of."""
    filled.run()
    path = filled.layout.calibrations / "2024-04-10.json"
    content = json.loads(path.read_text())
    older = {key: value for key, value in content.items() if key not in ("curves", "weights")}
    path.write_text(json.dumps({**older, "config_digest": "0" * 64, "potential_reference": None}))
    filled.run(as_of=date(2024, 4, 20))
    assert _calibrations(filled) == ["2024-04-10", "2024-04-20"]


def test_a_cross_check_that_disagrees_stops_the_run(filled, monkeypatch):
    wrong = Crosscheck("DISAGREES", "planted", {}, None, None, None)
    monkeypatch.setattr(fit_stage, "crosscheck_purchases", lambda *_, **__: wrong)
    with pytest.raises(ModelGateError, match="planted"):
        filled.run(crosscheck=True)
    assert _calibrations(filled) == []
    assert not filled.layout.current.exists()


def test_a_cross_check_does_not_move_a_calibration_that_stands(filled):
    filled.run()
    text = (filled.layout.calibrations / "2024-04-10.json").read_text()
    notes = filled.run(crosscheck=True, as_of=date(2024, 6, 1))[2].result.notes
    assert any("AGREES" in note for note in notes)
    assert _calibrations(filled) == ["2024-04-10"]
    assert (filled.layout.calibrations / "2024-04-10.json").read_text() == text


# ---- made anew on request


def _calibrate(bench, **options):
    known = {"settings": load_settings(bench.config_path), "config_path": bench.config_path}
    known |= {"out": bench.folder / "out", "stages": (), "as_of": bench.as_of}
    return calibrate(Request(**{**known, **options}), Watch())


def test_calibrate_says_what_is_not_what_it_was_and_publishes_nothing(filled):
    filled.run()
    version = filled.layout.current.resolve()
    path = filled.layout.calibrations / "2024-04-10.json"
    before = read(path)
    rich = "".join(f"r{n}-{k},rich{n},2024-0{k + 1}-15,90000\n" for n in range(200) for k in range(3))
    filled.put("b.csv", LEDGER_HEADER + rich)
    done = _calibrate(filled)
    after = read(path)
    assert (done.before, done.identity) == (before.identity, after.identity)
    old, new = frozen_numbers(before), frozen_numbers(after)
    assert done.frozen == new
    assert {one.name: (one.before, one.after) for one in done.changes} == {
        name: (old.get(name), new.get(name)) for name in old | new if old.get(name) != new.get(name)
    }
    tier = next(one for one in done.changes if one.name == "value_tier_cuts.2")
    assert before.value_tier_cuts and after.value_tier_cuts
    assert (tier.before, tier.after) == (before.value_tier_cuts[1], after.value_tier_cuts[1])
    assert filled.layout.current.resolve() == version and list(filled.layout.work.iterdir()) == []
    notes = filled.run(as_of=date(2024, 6, 30))[2].result.notes
    assert notes[0] == f"calibration {after.identity} stands"


def test_calibrate_on_what_was_known_finds_no_difference(filled):
    assert _calibrate(filled).before is None
    text = (filled.layout.calibrations / "2024-04-10.json").read_text()
    again = _calibrate(filled)
    assert again.before == again.identity and again.changes == ()
    assert (filled.layout.calibrations / "2024-04-10.json").read_text() == text
    assert not filled.layout.current.exists()


def test_calibrate_compares_with_what_stood_for_that_day(filled):
    filled.run()
    later = _calibrate(filled, as_of=date(2024, 6, 30))
    assert later.before is not None and later.before.startswith("2024-04-10") and later.changes
    assert later.identity.startswith("2024-06-30")
    assert _calibrate(filled, as_of=date(2024, 7, 1)).before is None, "another quarter"


def test_a_calibration_that_cannot_be_made_leaves_the_one_that_stands(filled):
    filled.run()
    path = filled.layout.calibrations / "2024-04-10.json"
    text = path.read_text()
    filled.put("b.csv", LEDGER_HEADER + "x,y,30.6.2024,5\n" * 50)
    with pytest.raises(QualityGateError):
        _calibrate(filled)
    assert path.read_text() == text


def test_frozen_numbers_have_names_whatever_is_frozen(filled):
    filled.run()
    calibration = read(filled.layout.calibrations / "2024-04-10.json")
    numbers = frozen_numbers(calibration)
    assert numbers["purchases.estimates.r"] == calibration.purchases.parameters["r"]
    assert numbers["recency_cuts.1"] == calibration.recency_cuts[0]
    assert numbers["current_theta"] == calibration.current_theta
    assert not {"as_of", "knew_until", "config_digest", "code_version"} & numbers.keys()
    shares = tuple(n / 100 for n in range(100))
    reference = Reference(grid=(1.0, *range(3, 102)), below=shares, up_to=shares[::-1])
    references = (*calibration.potential_references[:-1], reference)
    other = frozen_numbers(calibration.model_copy(update={"potential_references": references}))
    changed = {name for name in other if other[name] != numbers.get(name)}
    assert len(changed) == 3
    assert {name.rpartition(".")[2] for name in changed} == {"grid", "below", "up_to"}
    assert {str(other[name]).partition(", ")[0] for name in changed} == {"100 numbers"}


def test_where_a_number_comes_from_makes_no_other_calibration(filled):
    """The same settings in a file of another name name another provenance."""
    filled.run()
    settings = load_settings(filled.config_path)
    path = filled.config_path.rename(filled.folder / "other.toml")
    assert settings.digest() != load_settings(path).digest()
    again = _calibrate(filled, settings=load_settings(path), config_path=path)
    assert again.before == again.identity


# ---- minimum data: a number that is not known is NULL with a status and a reason


def test_too_few_customers_get_the_baseline(bench):
    bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(60)) + "\n").run()
    table = bench.table("customer_segments")
    assert set(table["purchases_status"]) == {"BASELINE"}
    assert set(table["purchases_reason"]) == {"TOO_FEW_CUSTOMERS"}
    assert table["p_alive"].null_count() == table["p_active_12m"].null_count() == table.height
    pooled = table["frequency"].sum() / table["t_days"].sum()
    assert table["expected_purchases_12m"].to_list() == pytest.approx([pooled * 365.25] * table.height)
    repeat = (pl.col("mean_repeat_contribution").cast(pl.Float64) * pl.col("frequency")).sum()
    mean = table.select(repeat / pl.col("frequency").sum()).item()
    assert float(table["expected_contribution"][0]) == pytest.approx(mean, abs=0.02)
    assert set(table["clv_status"]) == {"BASELINE"}
    assert set(table["model_used"]) == {"BASELINE"}


def test_nobody_repeats_so_nothing_is_known_of_the_future(bench):
    bench.put(
        "a.csv", LEDGER_HEADER + "".join(f"t{n},c{n},2024-01-{n % 28 + 1:02d},5\n" for n in range(50))
    ).run()
    table = bench.table("customer_segments")
    assert set(table["clv_status"]) == {"INSUFFICIENT_DATA"}
    for column in (
        "clv_12m",
        "expected_purchases_12m",
        "quadrant",
        "value_tier",
        "potential_index",
        "is_potential",
    ):
        assert table[column].null_count() == table.height
    assert set(table["current_value_status"]) == {"OK"}
    assert table["rfm_code"].null_count() == 0


def test_customers_who_lose_money_keep_their_own_mean(filled):
    loser = "".join(f"l{k},loser,2024-0{k + 1}-15,-20\n" for k in range(3))
    filled.put("b.csv", LEDGER_HEADER + loser).run()
    row = filled.table("customer_segments").filter(pl.col("customer_id") == "loser").row(0, named=True)
    assert float(row["expected_contribution"]) == -20
    assert (row["contribution_status"], row["contribution_reason"]) == ("BASELINE", "NON_POSITIVE_MEAN")
    assert row["clv_12m"] < 0
    fit = filled.table("model_fit").filter(pl.col("quantity") == "repeaters_left_out")
    assert fit["value"].to_list() == [1.0]


def test_customers_without_a_purchase_are_prospects(bench):
    bench.config += '[purchases]\nrules = [{ types = ["FEE"], purchase = false }]\n'
    header = "customer_id,posted_at,amount,transaction_type\n"
    bench.put("a.csv", header + "ann,2024-01-02,5,CARD\nann,2024-02-02,5,CARD\nbob,2024-01-02,5,FEE\n").run()
    row = bench.table("customer_segments").filter(pl.col("customer_id") == "bob").row(0, named=True)
    assert row["lifecycle_state"] == "PROSPECT"
    groups = {
        **dict.fromkeys(("history", "rfm", "clv", "p_alive"), "NO_PURCHASE"),
        **dict.fromkeys(
            ("relationship", "current_value", "potential", "quadrant", "future_value", "value_tier"),
            "NO_RELATIONSHIP",
        ),
    }
    for group, reason in groups.items():
        assert (row[f"{group}_status"], row[f"{group}_reason"]) == ("NOT_AVAILABLE", reason)
