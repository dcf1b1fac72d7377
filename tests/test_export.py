"""Exports: what a spreadsheet sees, what it must not run, and a file that is whole or as it was."""

import csv
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import polars as pl
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clvpipe.cli.export import show_export
from clvpipe.cli.guard import guarded as guarded_command
from clvpipe.contracts import PUBLISHED
from clvpipe.contracts.model import Column, Table, dictionary
from clvpipe.errors import ExitCode, InputError, StorageError, UsageError
from clvpipe.operations import export as module
from clvpipe.operations.export import Exported, Format, export, guarded
from clvpipe.publish import Layout
from clvpipe.publish.files import sha256_of
from clvpipe.publish.versions import FORMAT, PublishedFile
from tests.support import LEDGER_HEADER, Bench, ledger_csv

VERSION = "2024-06-30-0123456789ab"
AS_OF = date(2024, 6, 30)
KINDS: tuple[Format, ...] = ("csv", "xlsx")
HOSTILE = (
    "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "\tx", "\rx", "\nx", " =1", "\u200b=1", "\ufeff+1", '"=1"',
    "'=1", "＝1", "＋1", "－1", "＠x", "−1", "a;=1", "a\n=1", "a\r\n@x", 'a;"=1', ";'=1", "\n=1", "\u00a0-1",
)  # fmt: skip
HARMLESS = (
    "银行客户",
    "emoji 🙂",
    'say "hi"',
    "a,b",
    "two\nlines",
    "a\rb",
    "x\u200by",
    "007",
    "a=b",
    "a;b",
    "1-2",
    "é",
)
PLAYFUL = "=+-@＝＋－＠﹦−'\"`’ \t\r\n;,|a1\u200b\ufeff\u00a0\x00"
CONTRACT = Table(
    "people",
    "person",
    ("customer_id",),
    (
        Column("customer_id", "VARCHAR", "The customer.", "客户编号"),
        Column("money", "DECIMAL(18,2)", "=Not a formula.", "金额", unit="money", status="money_status"),
        Column("exact", "DECIMAL(28,8)", "Exact."),
        Column("gap", "DECIMAL(10,1)", "Gap.", unit="days"),
        Column("share", "DOUBLE", "Share.", unit="share"),
        Column("count", "BIGINT", "Count."),
        Column("small", "INTEGER", "Small."),
        Column("flag", "BOOLEAN", "Flag."),
        Column("day", "DATE", "Day."),
    ),
)
SCHEMA = {
    "customer_id": pl.String(), "money": pl.Decimal(18, 2), "exact": pl.Decimal(28, 8),
    "gap": pl.Decimal(10, 1), "share": pl.Float64(), "count": pl.Int64(), "small": pl.Int32(),
    "flag": pl.Boolean(), "day": pl.Date(),
}  # fmt: skip


def people(ids: Sequence[str]) -> pl.DataFrame:
    most = Decimal("9999999999999999.99")
    some = [
        (Decimal("-12.30"), Decimal("-0.00000001"), Decimal("-1.5"), -0.25, -3, -1, True, date(1900, 1, 1)),
        (most, Decimal("12345678.12345678"), None, 1e-7, 2**62, 0, False, date(2199, 12, 31)),
        (-most, Decimal(0), Decimal("0.0"), 0.1 + 0.2, 10**17, 7, None, None),
        (None, Decimal("1234567.12345678"), Decimal("3.0"), None, None, None, True, date(1900, 3, 1)),
    ]  # fmt: skip
    rows = [(name, *some[number % len(some)]) for number, name in enumerate(ids)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def publish(out: Path, *frames: pl.DataFrame) -> Layout:
    """A version with one dataset in as many files as there are frames."""
    layout = Layout(out)
    folder = layout.versions / VERSION
    (folder / "data" / CONTRACT.name).mkdir(parents=True)
    layout.state.mkdir()
    files = []
    for number, frame in enumerate(frames):
        path = f"data/{CONTRACT.name}/{9 - number}.parquet"
        frame.write_parquet(folder / path)
        size, digest = (folder / path).stat().st_size, sha256_of(folder / path)
        files.append(
            asdict(PublishedFile(CONTRACT.name, path, AS_OF.isoformat(), frame.height, size, digest))
        )
    manifest = {
        **{"format": FORMAT, "version": VERSION, "sequence": 1, "as_of": AS_OF.isoformat(), "known_at": None},
        **{"identity": "plain", "volume": {}, "supersedes": [], "files": files},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "dictionary.json").write_text(json.dumps(dictionary([CONTRACT])))
    layout.current.symlink_to(Path("versions") / VERSION)
    return layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    ids = [*HOSTILE, *HARMLESS]
    return publish(tmp_path / "out", people(ids[:9]), people(ids[9:]))


def original(text: str) -> str:
    """A guarded text read back, by the words of `guarded`."""
    return re.sub(r"([;\r\n])'", r"\1", text.removeprefix("'"))


def shielded(texts: Sequence[str]) -> list[str]:
    frame = guarded(pl.LazyFrame({"text": texts}, schema={"text": pl.String()})).collect()
    return frame["text"].to_list()


def would_run(cell: str) -> bool:
    """Whether a spreadsheet may take it for a formula, told in another way than by the regular expression."""
    for sign in cell:
        if unicodedata.normalize("NFKC", sign) in {"=", "+", "-", "@", "−"}:
            return True
        if not (sign.isspace() or unicodedata.category(sign)[0] in "CZ" or sign in "\"'`´‘’“”«»＂＇"):
            return False
    return False


def cells(text: str) -> list[str]:
    """What a spreadsheet sees where a semicolon separates."""
    return re.split(r"[;\r\n]", text)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from(PLAYFUL), max_size=12)
        | st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=8),
        max_size=60,
    )
)
def test_no_text_runs_and_every_text_can_be_read_back(texts):
    for text, seen in zip(texts, shielded(texts), strict=True):
        assert original(seen) == text
        assert not seen.startswith(("\t", "\r", "\n"))
        assert all(cell.startswith("'") or not would_run(cell) for cell in cells(seen)), (text, seen)
        if not re.search(r"[;\r\n]", text):
            assert seen in (text, "'" + text)
        touched = would_run(text) or text.startswith(("'", "\t", "\r", "\n"))
        if not touched and not any(would_run(c) or c.lstrip().startswith("'") for c in cells(text)[1:]):
            assert "'" in text or seen == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_guarded(text):
    assert shielded([text]) != [text]


def test_harmless_text_stays():
    assert shielded([*HARMLESS, ""]) == [*HARMLESS, ""]


def test_csv_reads_back(layout, tmp_path):
    target = tmp_path / "people.csv"
    assert export(layout, "people", target, "csv") == Exported(target, "people", VERSION, 36)
    content = target.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfcustomer_id,money,") and content.endswith(b"\r\n")
    with target.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == list(CONTRACT.column_names)
    assert [original(row[0]) for row in rows] == [*HOSTILE, *HARMLESS]
    assert rows[0][1:] == ["-12.30", "-0.00000001", "-1.5", "-0.25", "-3", "-1", "true", "1900-01-01"]
    assert rows[2][1:] == [
        "-9999999999999999.99",
        "0.00000000",
        "0.0",
        "0.30000000000000004",
        str(10**17),
        "7",
        "",
        "",
    ]
    frame = pl.read_csv(target, schema=SCHEMA)
    expected = people([*HOSTILE, *HARMLESS][:9]).vstack(people([*HOSTILE, *HARMLESS][9:]))
    assert frame["customer_id"].to_list() == shielded([*HOSTILE, *HARMLESS])
    assert frame.drop("customer_id").equals(expected.drop("customer_id"))


class Book:
    """A workbook's XML, read without the library that wrote it."""

    SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            self.stamps = {info.date_time for info in archive.infolist()}
            self.parts = {name: archive.read(name).decode() for name in archive.namelist()}
        self.styles = self._styles()

    def root(self, sheet: int) -> Any:
        return ElementTree.fromstring(self.parts[f"xl/worksheets/sheet{sheet}.xml"])

    def rows(self, sheet: int) -> list[dict[str, tuple[str, str, str]]]:
        """Cells by column: type, content, number format."""
        found = []
        for row in self.root(sheet).iter(f"{self.SPACE}row"):
            cells = {}
            for cell in row:
                kind = cell.get("t", "n")
                node = cell.find(f"{self.SPACE}is/{self.SPACE}t" if kind == "inlineStr" else f"{self.SPACE}v")
                text = node.text or "" if node is not None else ""
                if kind == "inlineStr":
                    text = re.sub(r"_x([0-9A-F]{4})_", lambda code: chr(int(code[1], 16)), text)
                place = re.sub(r"\d", "", cell.get("r"))
                cells[place] = (kind, text, self.styles[int(cell.get("s", 0))])
            found.append(cells)
        return found

    def _styles(self) -> list[str]:
        root = ElementTree.fromstring(self.parts["xl/styles.xml"])
        forms = {node.get("numFmtId"): node.get("formatCode") for node in root.iter(f"{self.SPACE}numFmt")}
        styles = root.find(f"{self.SPACE}cellXfs")
        assert styles is not None
        number = {"49": "@", "0": "General", "4": "#,##0.00"}
        return [str(forms.get(node.get("numFmtId")) or number[str(node.get("numFmtId"))]) for node in styles]


def test_xlsx_reads_back(layout, tmp_path):
    target = tmp_path / "people.xlsx"
    export(layout, "people", target, "xlsx")
    header, *rows = Book(target).rows(1)
    assert [content for _, content, _ in header.values()] == list(CONTRACT.column_names)
    ids = [*HOSTILE, *HARMLESS]
    assert [row["A"] for row in rows] == [("inlineStr", text, "@") for text in shielded(ids)]
    expected = people(ids[:9]).vstack(people(ids[9:]))
    for row, values in zip(rows, expected.iter_rows(), strict=True):
        for place, value in zip("BCDEFGHI", values[1:], strict=True):
            if value is None:
                assert place not in row
                continue
            kind, content, form = row[place]
            if isinstance(value, bool):
                assert (kind, content) == ("b", str(int(value)))
            elif isinstance(value, date):
                # Day 60 of a spreadsheet is 29 February 1900, which never was.
                days = int(content) - (int(content) > 59)
                assert (kind, form) == ("n", "yyyy-mm-dd") and date(1899, 12, 31) + timedelta(days) == value
            elif isinstance(value, float):
                assert kind == "n" and float(content) == pytest.approx(value, rel=1e-15)
            else:
                assert Decimal(content) == value
                assert (
                    kind == ("n" if len(Decimal(value).as_tuple().digits) < 16 else "inlineStr")
                    or value == 10**17
                )
    assert rows[0]["B"] == ("n", "-12.30", "#,##0.00") and rows[0]["D"] == ("n", "-1.5", "#,##0.0")
    assert rows[1]["B"] == ("inlineStr", "9999999999999999.99", "#,##0.00")
    assert rows[2]["F"][0] == "n" and rows[1]["F"] == ("inlineStr", str(2**62), "General")


def test_xlsx_has_no_formula_no_link_and_no_clock(layout, tmp_path):
    target = tmp_path / "people.xlsx"
    export(layout, "people", target, "xlsx")
    book = Book(target)
    for name, content in book.parts.items():
        assert not re.search(r"<f[ >]|<hyperlink", content), name
    assert {stamp[0] for stamp in book.stamps} == {1980}
    assert set(re.findall(r"\d{4}-\d\d-\d\dT[^<]*", book.parts["docProps/core.xml"])) == {
        "2024-06-30T00:00:00Z"
    }


def test_xlsx_is_easy_to_use(layout, tmp_path):
    target = tmp_path / "people.xlsx"
    export(layout, "people", target, "xlsx")
    book = Book(target)
    assert re.findall(r'<sheet name="([^"]*)"', book.parts["xl/workbook.xml"]) == ["people", "dictionary"]
    sheet = book.parts["xl/worksheets/sheet1.xml"]
    assert 'ySplit="1"' in sheet and 'state="frozen"' in sheet and '<autoFilter ref="A1:I37"' in sheet
    rows = [[content for _, content, _ in row.values()] for row in book.rows(2)]
    assert rows[:3] == [["dataset", "people"], ["version", VERSION], ["as_of", "2024-06-30"]]
    assert rows[3] == ["column", "type", "unit", "status_column", "label_zh", "definition"]
    assert rows[5] == ["money", "DECIMAL(18,2)", "money", "money_status", "金额", "'=Not a formula."]
    assert len(rows) == 4 + len(CONTRACT.columns)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_version_gives_the_same_bytes(layout, tmp_path, kind, monkeypatch):
    contents = set()
    for zone in ("UTC", "Asia/Shanghai", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        target = tmp_path / zone.replace("/", "-")
        export(layout, "people", target, kind)
        contents.add(target.read_bytes())
    monkeypatch.undo()
    time.tzset()
    assert len(contents) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_dataset(tmp_path, kind):
    layout = publish(tmp_path / "out", people([]))
    written = export(layout, "people", tmp_path / "none", kind)
    assert written.rows == 0
    if kind == "xlsx":
        assert len(Book(written.file).rows(1)) == 1
    else:
        assert written.file.read_text("utf-8-sig") == ",".join(CONTRACT.column_names) + "\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_overwritten_and_readable_by_its_group_alone(layout, tmp_path, kind):
    home = tmp_path / "to"
    home.mkdir()
    target = home / "old"
    target.write_text("old")
    before = os.umask(0o000)
    try:
        export(layout, "people", target, kind)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.stat().st_size > 100 and [path.name for path in home.iterdir()] == ["old"]


def test_only_an_ordinary_file_is_overwritten(layout, tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "folder", "pipe", "..", "."):
        with pytest.raises(UsageError):
            export(layout, "people", tmp_path / name, "csv")
    assert (tmp_path / "real").read_text() == "old" and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    "place",
    ["versions/x.csv", f"versions/{VERSION}/x.csv", "state/x.csv", "current/x.csv", "current/data/x.csv",
     "../out/state/x.csv", "current", "versions", "state"],
)  # fmt: skip
def test_what_clvpipe_keeps_is_no_target(layout, place):
    before = sorted(layout.out.rglob("*"))
    with pytest.raises(UsageError):
        export(layout, "people", layout.out / place, "csv")
    assert sorted(layout.out.rglob("*")) == before


def test_beside_what_clvpipe_keeps_is_fine(layout):
    assert export(layout, "people", layout.out / "people.csv", "csv").file.is_file()


def test_more_rows_than_a_sheet_can_hold(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "XLSX_MAXIMUM_ROWS", 36)
    export(layout, "people", tmp_path / "fits.xlsx", "xlsx")
    monkeypatch.setattr(module, "XLSX_MAXIMUM_ROWS", 35)
    with pytest.raises(UsageError, match="--csv"):
        export(layout, "people", tmp_path / "more.xlsx", "xlsx")
    assert not (tmp_path / "more.xlsx").exists()


def test_a_text_longer_than_a_cell(tmp_path):
    layout = publish(tmp_path / "out", people(["x" * 32_768]))
    with pytest.raises(UsageError, match="--csv"):
        export(layout, "people", tmp_path / "x.xlsx", "xlsx")
    assert export(layout, "people", tmp_path / "x.csv", "csv").rows == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", ["missing", "damaged", "no dictionary"])
def test_a_failure_leaves_the_old_file(layout, tmp_path, kind, harm):
    home = tmp_path / "to"
    home.mkdir()
    (home / "old").write_text("old")
    last = layout.versions / VERSION / "data" / "people" / "8.parquet"
    if harm == "missing":
        last.unlink()
    elif harm == "damaged":
        last.write_bytes(last.read_bytes()[:-9])
    else:
        (layout.versions / VERSION / "dictionary.json").unlink()
    with pytest.raises(StorageError):
        export(layout, "people", home / "old", kind)
    assert (home / "old").read_text() == "old" and [path.name for path in home.iterdir()] == ["old"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_the_old_file(tmp_path, kind):
    publish(tmp_path / "out", people([f"c{number * 7919}" for number in range(3000)]))
    home = tmp_path / "to"
    home.mkdir()
    (home / "old").write_text("old")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from clvpipe.operations.export import export, Layout, StorageError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: export(Layout(Path(sys.argv[1])), 'people', Path(sys.argv[2]), sys.argv[3])\n"
        "except StorageError as error: print(error.what)"
    )
    arguments = [str(tmp_path / "out"), str(home / "old"), kind]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert "file system refuses" in done.stdout and "too large" in done.stdout
    assert (home / "old").read_text() == "old" and [path.name for path in home.iterdir()] == ["old"]


def test_no_folder_is_made(layout, tmp_path):
    with pytest.raises(StorageError):
        export(layout, "people", tmp_path / "nowhere" / "x.csv", "csv")
    assert not (tmp_path / "nowhere").exists()


def test_nothing_to_export(layout, tmp_path):
    with pytest.raises(UsageError, match="people"):
        export(layout, "nope", tmp_path / "x.csv", "csv")
    with pytest.raises(InputError):
        export(Layout(tmp_path / "empty"), "people", tmp_path / "x.csv", "csv")


app = typer.Typer()


@app.command()
def command(
    out: Annotated[Path, typer.Option()],
    csv: Annotated[Path | None, typer.Option()] = None,
    xlsx: Annotated[Path | None, typer.Option()] = None,
    dataset: str = "people",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    with guarded_command(as_json):
        show_export("nightly", out, dataset, csv, xlsx, as_json)


def test_the_command(layout, tmp_path):
    target = str(tmp_path / "x.csv")
    out = ["--out", str(layout.out)]
    quiet = CliRunner().invoke(app, [*out, "--csv", target])
    assert (quiet.exit_code, quiet.output) == (0, "") and Path(target).is_file()
    told = json.loads(CliRunner().invoke(app, [*out, "--xlsx", target + ".xlsx", "--json"]).stdout)
    assert told == {"file": target + ".xlsx", "dataset": "people", "version": VERSION, "rows": 36}
    for wrong in ([], ["--csv", target, "--xlsx", target], ["--csv", target, "--dataset", "nope"]):
        assert CliRunner().invoke(app, [*out, *wrong]).exit_code == ExitCode.USAGE
    nowhere = CliRunner().invoke(app, [*out, "--csv", str(tmp_path / "no" / "x.csv")])
    assert nowhere.exit_code == ExitCode.STORAGE and "file system refuses" in nowhere.output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_old_file_and_nothing_else(tmp_path, number, code):
    publish(tmp_path / "out", people([f"c{place}" for place in range(200_000)]))
    home = tmp_path / "to"
    home.mkdir()
    (home / "old").write_text("old")
    code_of_command = (
        "from clvpipe.cli.guard import guarded\n"
        "from clvpipe.cli.export import show_export\n"
        "import sys, typer\n"
        "from pathlib import Path\n"
        "try:\n"
        "    with guarded(False):\n"
        "        show_export('nightly', Path(sys.argv[1]), 'people', None, Path(sys.argv[2]), False)\n"
        "except typer.Exit as end: sys.exit(end.exit_code)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code_of_command, str(tmp_path / "out"), str(home / "old")],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(list(home.iterdir())) < 2 and run.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    run.send_signal(number)
    _, words = run.communicate(timeout=10)
    assert run.returncode == code and "Traceback" not in words, words
    assert (home / "old").read_text() == "old" and [path.name for path in home.iterdir()] == ["old"]


def test_every_dataset_of_a_run_with_a_hostile_customer(tmp_path):
    bench = Bench(tmp_path)
    villain = "=cmd|' /C calc'!A0"
    rows = [line.replace(",c0001,", f',"{villain}",') for line in ledger_csv(40)]
    bench.put("day 1.csv", LEDGER_HEADER + "\n".join(rows) + "\n").run()
    for dataset in PUBLISHED:
        rows_published = bench.table(dataset).height
        for kind in KINDS:
            written = export(bench.layout, dataset, tmp_path / f"{dataset}.{kind}", kind)
            assert written.rows == rows_published
        with (tmp_path / f"{dataset}.csv").open(encoding="utf-8-sig", newline="") as file:
            assert len(list(csv.reader(file))) == rows_published + 1
        book = Book(tmp_path / f"{dataset}.xlsx")
        assert len(book.rows(1)) == rows_published + 1
        assert [row["A"][1] for row in book.rows(2)[4:]] == list(PUBLISHED[dataset].column_names)
    ids = [row["B"][1] for row in Book(tmp_path / "customer_segments.xlsx").rows(1)]
    assert "'" + villain in ids and villain not in ids
