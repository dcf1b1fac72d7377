"""A real bank's first fifteen months: each definition of a purchase runs, with an honest verdict."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from tests.support import Bench, published, shared

pytestmark = pytest.mark.realdata

ROWS = 46_997
BASE = """
preset = "retail"
currency = "CZK"
[inputs.transactions]
files = ["{folder}/trans.asc.gz"]
delimiter = ";"
date_format = "%y%m%d"
[inputs.transactions.columns]
transaction_id = "trans_id"
customer_id = "account_id"
posted_at = "date"
amount = "amount"
transaction_type = "{type_column}"
[purchases]
default = {{ purchase = {default}, margin_rate = 0.01 }}
rules = [{{ types = [{types}], purchase = {purchase}, margin_rate = 0.01 }}]
"""
# What a purchase is: money taken out; money paid in; whatever the bank has not made itself.
DEFINITIONS = {
    "withdrawals": ("operation", "false", '"VYBER", "VYBER KARTOU"', "true"),
    "payments in": ("operation", "false", '"VKLAD"', "true"),
    "not made by the bank": ("k_symbol", "true", '"UROK", "SLUZBY", "SANKC. UROK"', "false"),
    "transfers": ("operation", "false", '"PREVOD NA UCET"', "true"),
}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Each definition, run at both dates, once."""
    made = {}

    def run(name, day):
        if (name, day) not in made:
            bench = Bench(tmp_path_factory.mktemp("berka"), as_of=day)
            type_column, default, types, purchase = DEFINITIONS[name]
            folder = shared() / "data" / "berka"
            bench.config = BASE.format(
                folder=folder, type_column=type_column, default=default, types=types, purchase=purchase
            )
            made[name, day] = bench, bench.run(crosscheck=True)
        return made[name, day]

    return run


@pytest.fixture(params=[date(1993, 12, 31), date(1994, 3, 30)], ids=str)
def day(request):
    return request.param


@pytest.fixture(params=sorted(DEFINITIONS))
def bench(request, bank, day):
    return bank(request.param, day)[0]


def test_counts_reconcile(bench, day):
    out = bench.folder / "out"
    quality = {row["check_name"]: row for row in published(out, "data_quality").to_dicts()}
    assert quality["rows_loaded"]["observed"] == ROWS
    assert published(out, "rejected_rows").height == 0
    segments = published(out, "customer_segments")
    accounts = bench.warehouse(
        f"SELECT count(DISTINCT customer_id) FROM transactions WHERE posted_on <= '{day}'"
    )
    assert segments.height == accounts[0][0]
    summary = published(out, "segment_summary").group_by("dimension", "scheme").agg(pl.col("customers").sum())
    assert set(summary["customers"]) == {segments.height}


def test_no_number_is_nan(bench):
    for dataset in ("customer_segments", "segment_summary", "model_fit", "thresholds"):
        frame = published(bench.folder / "out", dataset)
        for name, kind in frame.schema.items():
            if kind == pl.Float64:
                assert np.isfinite(frame[name].drop_nulls().to_numpy()).all(), name


def test_the_verdict_is_honest(bench):
    """Every account is alive at the end, so no dropout is claimed, and no P(alive)."""
    segments = published(bench.folder / "out", "customer_segments").filter(pl.col("frequency").is_not_null())
    models = set(segments["model_used"].drop_nulls())
    assert models <= {"NBD", "BASELINE"}
    assert segments["p_alive"].null_count() == segments.height
    if models == {"NBD"}:
        assert set(segments["p_alive_status"]) == {"NOT_IDENTIFIED"}
        assert set(segments["p_alive_reason"]) == {"DROPOUT_NOT_IDENTIFIED"}
        assert segments["clv_12m"].null_count() == 0
    fit = published(bench.folder / "out", "model_fit")
    verdict = fit.filter((pl.col("quantity") == "boundary") & (pl.col("model") == "NBD"))
    assert verdict.is_empty() or verdict["note"][0] == "NO_DROPOUT"


def test_the_cross_check_never_breaks_the_run(bench):
    fit = published(bench.folder / "out", "model_fit").filter(pl.col("quantity") == "crosscheck_agrees")
    assert fit.height == 2
    for note in fit["note"]:
        assert note.split(":")[0] in {"AGREES", "REFUSED", "NOT_APPLICABLE"}


def test_nothing_after_as_of_is_seen(bank):
    early = bank("withdrawals", date(1993, 12, 31))[0]
    segments = published(early.folder / "out", "customer_segments")
    assert max(segments["last_purchase_day"].drop_nulls().to_list()) <= date(1993, 12, 31)
    later = published(bank("withdrawals", date(1994, 3, 30))[0].folder / "out", "customer_segments")
    assert later.height > segments.height


def test_the_loud_warning(bank):
    warnings = [text for run in bank("transfers", date(1994, 3, 30))[1] for text in run.result.warnings]
    assert any("more than half of the events" in text for text in warnings)


def test_a_config_is_proposed_for_the_banks_own_file(tmp_path):
    from clvpipe.onboarding.propose import propose
    from clvpipe.onboarding.scaffold import scaffold_proposal

    file = shared() / "data" / "berka" / "trans.asc.gz"
    proposal = propose(file, "retail", "CZK")
    assert {ours: guess.value for ours, guess in proposal.columns.items()} == {
        "transaction_id": "trans_id",
        "customer_id": "account_id",
        "posted_at": "date",
        "amount": "amount",
        "transaction_type": "type",
    }
    assert proposal.settings["date_format"].value == "%y%m%d"
    scaffold_proposal(tmp_path, proposal)
    bench = Bench(tmp_path, config=(tmp_path / "clvpipe.toml").read_text(), as_of=date(1994, 3, 30))
    bench.run(("ingest",))
    assert bench.warehouse("SELECT count(*) FROM transactions")[0][0] == ROWS
