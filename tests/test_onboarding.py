"""One's own data in five minutes: init, proposals that work, doctor, and the plan of a run."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clvpipe.cli.main import app
from clvpipe.errors import ExitCode, InputError
from clvpipe.locations import package_file, resource_dir
from clvpipe.onboarding.propose import propose
from clvpipe.onboarding.scaffold import scaffold_proposal
from tests.support import CONFIG, HEADER, Bench


def clvpipe(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


LENIENT = "[quality]\nmaximum_reject_share = 1.0\n"


def _values(proposal):
    return {ours: guess.value for ours, guess in proposal.columns.items()}


def test_init_makes_a_folder_that_runs(tmp_path, monkeypatch):
    done = clvpipe("init", tmp_path / "mine")
    assert done.exit_code == 0 and "clvpipe run --as-of 2024-06-30" in done.output
    monkeypatch.chdir(tmp_path / "mine")
    assert clvpipe("doctor").exit_code == 0
    assert clvpipe("run", "nightly.toml", "--as-of", "2024-06-30").exit_code == 0
    assert Path(clvpipe("path", "nightly.toml").output.strip()).is_file()
    assert clvpipe("init", ".").exit_code == ExitCode.USAGE


def test_a_proposal_for_cdnow_runs(tmp_path):
    proposal = propose(package_file("package:lifetimes/datasets/CDNOW_sample.txt"), "retail", "USD")
    assert proposal.settings["delimiter"].value == "whitespace"
    assert proposal.settings["date_format"].value == "%Y%m%d"
    assert proposal.columns["posted_at"].value == "column_3"
    assert proposal.columns["amount"].value == "column_5"
    assert proposal.unmapped == ("column_2", "column_4")
    scaffold_proposal(tmp_path, proposal)
    bench = Bench(tmp_path, config=(tmp_path / "clvpipe.toml").read_text(), as_of=date(1997, 9, 30))
    bench.run()
    assert bench.table("customer_segments").height == 2357


@pytest.mark.parametrize(
    "name", [path.name for path in sorted((resource_dir("sample") / "bank").glob("transactions_*.csv.gz"))]
)
def test_a_proposal_for_each_of_the_samples_deliveries(tmp_path, name):
    proposal = propose(resource_dir("sample") / "bank" / name, "bank")
    columns = _values(proposal)
    assert all(columns[role] == role for role in ("customer_id", "posted_at", "amount", "transaction_type"))
    assert columns["transaction_id"] == "transaction_id"
    assert proposal.general["currency"].value == "CNY" and proposal.file_date is not None
    scaffold_proposal(tmp_path, proposal)
    bench = Bench(tmp_path, config=(tmp_path / "clvpipe.toml").read_text())
    bench.run(("ingest",))
    rejected = bench.layout.rejects("transactions")
    assert rejected.is_dir() and bench.warehouse("SELECT count(*) FROM transactions")[0][0] > 0


CASES = {
    "german": ("Kunde;Datum;Betrag\n4711;31.01.2024;1.5\n".replace("1.5", "12,50") * 1, "utf-8"),
    "chinese": ("客户号,日期,金额\n甲1,2024/01/31,12.50\n", "gb18030"),
    "umlauts": ("Kunde;Datum;Betrag\nMüller;31.01.2024;12,50\n", "cp1250"),
    "tabs": ("client\tdate\tvalue\nx\t2024-01-31 10:00:00\t12.50\n", "utf-8"),
    "american": ("customer,date,amount\nx,01/31/2024,12.50\n", "utf-8"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_proposals_for_common_shapes(tmp_path, name):
    text, encoding = CASES[name]
    header, row = text.splitlines()
    (tmp_path / "a.csv").write_bytes((header + "\n" + (row + "\n") * 5).encode(encoding))
    proposal = propose(tmp_path / "a.csv")
    assert proposal.settings["encoding"].value == encoding
    scaffold_proposal(tmp_path, proposal)
    bench = Bench(tmp_path, config=(tmp_path / "clvpipe.toml").read_text())
    bench.run(("ingest",))
    rows = bench.warehouse("SELECT DISTINCT posted_on::varchar, amount::double FROM transactions")
    assert rows == [("2024-01-31", 12.5)]


def test_an_ambiguous_date_is_called_a_guess(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "x,01/02/2024,1.50\nx,03/04/2024,2.50\n")
    guess = propose(tmp_path / "a.csv").settings["date_format"]
    assert guess.sure == "a guess" and "%m/%d/%Y" in guess.why


def test_parquet(tmp_path):
    import polars as pl

    frame = pl.DataFrame(
        {"client": ["a", "a"], "when": ["x", "y"], "date": [date(2024, 1, 31)] * 2, "price": [1.5, 2.5]}
    )
    frame.write_parquet(tmp_path / "a.parquet")
    assert _values(propose(tmp_path / "a.parquet")) == {
        "customer_id": "client",
        "posted_at": "date",
        "amount": "price",
    }


def test_numbers_in_parquet_are_read_for_what_they_mean(tmp_path):
    """Ids beside gaps become floats in other tools, and days whole numbers."""
    import polars as pl

    nan, large = float("nan"), 1234567890123456.0
    ids = [1.0, 2.0, nan, large] + [3.0] * 36
    frame = pl.DataFrame({"customer_id": ids, "posted_at": [20240131] * 40, "amount": [5] * 40})
    frame.write_parquet(tmp_path / "a.parquet")
    proposal = propose(tmp_path / "a.parquet")
    assert proposal.settings["date_format"].value == "%Y%m%d"
    scaffold_proposal(tmp_path, proposal)
    bench = Bench(tmp_path, config=(tmp_path / "clvpipe.toml").read_text() + LENIENT)
    bench.run()
    assert bench.table("customer_segments")["customer_id"].to_list() == ["1", "1234567890123456", "2", "3"]
    assert bench.table("rejected_rows").select("line", "column_name", "reason").rows() == [
        (3, "customer_id", "MISSING")
    ]


def test_a_header_that_names_a_column_twice_is_no_record(tmp_path):
    (tmp_path / "a.csv").write_text("date,date,amount,customer\n" + "2024-01-31,2024-02-01,5.00,x\n" * 5)
    with pytest.raises(InputError, match="'date' twice"):
        propose(tmp_path / "a.csv")


def test_columns_that_a_spreadsheet_left_without_a_name_hinder_nobody(tmp_path):
    (tmp_path / "a.csv").write_text("customer,date,amount,,\n" + "x,2024-01-31,5.00,,\n" * 5)
    scaffold_proposal(tmp_path, propose(tmp_path / "a.csv"))
    bench = Bench(tmp_path, config=(tmp_path / "clvpipe.toml").read_text())
    bench.run(("ingest",))
    assert bench.warehouse("SELECT count(*) FROM transactions") == [(5,)]


@pytest.mark.parametrize("amount", ['"1,234.56"', "$1234.56", "1 234.56"])
def test_money_that_is_not_read_is_called_so(tmp_path, amount):
    (tmp_path / "a.csv").write_text("customer,date,amount\n" + f"x,2024-01-31,{amount}\n" * 5)
    with pytest.raises(InputError, match="marks between thousands or signs of a currency"):
        propose(tmp_path / "a.csv")


def test_the_currency_is_that_of_the_file_or_a_guess(tmp_path):
    (tmp_path / "a.csv").write_text("customer_id,posted_at,amount,currency\nx,2024-01-31,1.50,CHF\n")
    (tmp_path / "b.csv").write_text(HEADER + "x,2024-01-31,1.50\n")
    proposals = [propose(tmp_path / "a.csv"), propose(tmp_path / "b.csv")]
    assert [(p.general["currency"].value, p.general["currency"].sure) for p in proposals] == [
        ("CHF", "sure"),
        ("EUR", "a guess"),
    ]


@pytest.mark.parametrize(("name", "there"), [("clvpipe.toml", ""), ("nightly.toml", "x"), ("extracts", "x")])
def test_init_writes_over_nothing(tmp_path, name, there):
    (tmp_path / name).write_text(there)
    done = clvpipe("init", tmp_path)
    assert done.exit_code == ExitCode.USAGE and f"there is {name} already" in done.output
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == there
    assert clvpipe("init", tmp_path / name).exit_code == ExitCode.USAGE


def test_a_proposal_that_is_no_configuration_leaves_none(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "x,2024-01-31,1.50\n")
    made = ("init", tmp_path / "new", "--from", tmp_path / "x" / ".." / "a.csv")
    (tmp_path / "x").mkdir()
    assert clvpipe(*made, "--currency", "euro").exit_code == ExitCode.CONFIG
    assert clvpipe(*made, "--preset", "nothing").exit_code == ExitCode.CONFIG
    assert list((tmp_path / "new").iterdir()) == []
    assert clvpipe(*made).exit_code == 0


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a,b\n", b"a,b,c\nx,y,z\n", b"\x00" * 100, bytes(range(256)) * 20]
)
def test_files_that_tell_nothing(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError):
        propose(tmp_path / "a.csv")
    assert clvpipe("init", tmp_path / "new", "--from", tmp_path / "a.csv").exit_code == ExitCode.INPUT
    assert not (tmp_path / "new" / "clvpipe.toml").exists()


def test_a_proposal_shows_how_sure_it_is(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "x,2024-01-31,1.50\nx,2024-02-29,2.50\n")
    done = clvpipe("init", tmp_path / "new", "--from", tmp_path / "a.csv", "--json")
    content = json.loads(done.output)
    assert content["proposal"]["column customer_id"] == {
        "value": "customer_id",
        "sure": "sure",
        "why": "by its name and its content",
    }
    assert content["unmapped"] == []
    text = (tmp_path / "new" / "clvpipe.toml").read_text()
    assert 'customer_id = "customer_id"   # sure' in text


def test_doctor_says_what_is_missing_and_what_that_costs(bench):
    bench.put("a.csv", HEADER + "x,2024-01-31,1.50\n")
    findings = json.loads(clvpipe("doctor", "--config", bench.config_path, "--json").output)
    by_name = {finding["extract"]: finding for finding in findings}
    assert by_name["transactions"]["state"] == "READY"
    assert "transaction_id" in by_name["transactions"]["missing"]
    assert by_name["balances"]["state"] == "NOT_CONFIGURED"
    assert "leaves out what balances earn; no deposit tier" in by_name["balances"]["note"]
    assert len(by_name) == 9


def test_doctor_finds_what_is_broken(bench):
    bench.put("a.csv", "x,y\n1,2\n")
    bench.config = CONFIG + '[inputs.balances]\nfiles = ["nothing_*.csv"]\n'
    done = clvpipe("doctor", "--config", bench.config_path)
    assert done.exit_code == ExitCode.INPUT
    assert "transactions, balances" in " ".join(done.output.split())


def test_a_dry_run_lists_the_work_and_writes_nothing(bench):
    bench.put("a.csv", HEADER + "x,2024-01-31,1.50\nx,2024-02-29,2.50\n")
    command = ("run", "--config", bench.config_path, "--out", bench.folder / "out", "--as-of", "2024-06-30")
    plan = json.loads(clvpipe(*command, "--dry-run", "--json").output)
    assert [Path(name).name for name in plan["new_files"]] == ["a.csv"] and plan["calibration"] is None
    assert not (bench.folder / "out").exists()
    assert clvpipe(*command).exit_code == 0
    before = sorted(bench.folder.rglob("*"))
    plan = json.loads(clvpipe(*command, "--dry-run", "--json").output)
    assert (
        plan["new_files"] == [] and plan["known_files"] == 1 and plan["calibration"].startswith("2024-06-30-")
    )
    assert sorted(bench.folder.rglob("*")) == before


@pytest.mark.parametrize("preset", ["bank", "wealth", "retail"])
def test_presets_are_valid(bench, preset):
    bench.config = CONFIG.replace("retail", preset)
    bench.put(
        "a.csv",
        "customer_id,posted_at,amount,transaction_type\nx,2024-01-31,100,FUND_BUY\nx,2024-02-29,100,INTEREST\n",
    )
    bench.run()
    days = bench.table("customer_segments")["purchase_days_total"].to_list()
    assert days == [2 if preset == "retail" else 1]


def test_a_file_without_types_under_a_preset_that_needs_them_is_broken(bench):
    bench.config = CONFIG.replace("retail", "bank")
    bench.put("a.csv", HEADER + "x,2024-01-31,100\n")
    done = clvpipe("doctor", "--config", bench.config_path, "--json")
    assert done.exit_code == ExitCode.INPUT
    assert "nothing without one is a purchase" in done.output
