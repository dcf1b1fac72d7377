"""What readers rely on: the schema against the accepted one, and a run against the last publication."""

import copy
import json

import pytest
from tools.accept_schema import ACCEPTED

from clvpipe.contracts import PUBLISHED, SCHEMA_VERSION, dictionary
from clvpipe.contracts.compatibility import breaking_changes
from clvpipe.errors import InputError
from tests.support import LEDGER_HEADER, Bench, ledger_csv, manifest

NOW = dictionary(PUBLISHED.values())
BEFORE = json.loads(ACCEPTED.read_text(encoding="utf-8"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_the_schema_is_the_accepted_one():
    """A change is accepted by `python -m tools.accept_schema`, which is then seen in review."""
    ours, accepted = _numbers(SCHEMA_VERSION), _numbers(BEFORE["schema_version"])
    if list(breaking_changes(BEFORE, NOW)):
        assert ours[0] > accepted[0], "readers would break: raise the first number of SCHEMA_VERSION"
    elif BEFORE["datasets"] != NOW["datasets"]:
        assert ours > accepted, "the schema has changed: raise the second number of SCHEMA_VERSION"
    assert BEFORE == NOW, "python -m tools.accept_schema"


def _column(schema, dataset="customer_segments", name="clv_12m"):
    return next(column for column in schema["datasets"][dataset]["columns"] if column["name"] == name)


def _without_dataset(schema):
    del schema["datasets"]["codes"]


def _without_column(schema):
    columns = schema["datasets"]["customer_segments"]["columns"]
    columns.remove(_column(schema))


BREAKING = {
    "dataset": (_without_dataset, "the dataset codes is gone"),
    "column": (_without_column, "customer_segments.clv_12m: the column is gone"),
    "type": (lambda s: _column(s).update(type="DOUBLE"), "type was DECIMAL(18,2) and is DOUBLE"),
    "unit": (lambda s: _column(s).update(unit="cents"), "unit was money and is cents"),
    "status": (lambda s: _column(s).update(status_column="rfm_status"), "status_column was clv_status"),
    "null": (lambda s: _column(s, name="is_new").update(nullable=True), "nullable was False and is True"),
    "codes": (lambda s: _column(s, name="quadrant").update(code_scheme="x"), "code_scheme was quadrant"),
    "key": (
        lambda s: s["datasets"]["codes"].update(key=["code"]),
        "the key was scheme, sort_order and is code",
    ),
}


@pytest.mark.parametrize("change", BREAKING)
def test_what_breaks_readers(change):
    plant, words = BREAKING[change]
    after = copy.deepcopy(NOW)
    plant(after)
    found = list(breaking_changes(NOW, after))
    assert len(found) == 1 and words in found[0]


def test_what_does_not():
    after = copy.deepcopy(NOW)
    after["datasets"]["new"] = {"grain": "row", "key": ["id"], "columns": []}
    after["datasets"]["codes"]["columns"].append({"name": "extra", "type": "VARCHAR"})
    _column(after)["definition"] = "Said better."
    _column(after)["nullable"] = False
    assert list(breaking_changes(NOW, after)) == []


@pytest.fixture
def broken(bench: Bench) -> Bench:
    """A publication that promised a column which this code does not have."""
    bench.put("a.csv", LEDGER_HEADER + "\n".join(ledger_csv(40)) + "\n").run()
    path = bench.layout.current.resolve() / "dictionary.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["datasets"]["codes"]["columns"].append({**_column(NOW), "name": "old_column"})
    path.write_text(json.dumps(content), encoding="utf-8")
    return bench.put("b.csv", LEDGER_HEADER + "n1,new,2024-06-01,5\n")


def test_a_run_does_not_break_readers(broken):
    standing = broken.layout.current.readlink()
    with pytest.raises(InputError, match=r"codes\.old_column: the column is gone") as caught:
        broken.run()
    assert "--allow-breaking" in str(caught.value)
    assert broken.layout.current.readlink() == standing


def test_unless_it_is_told_to(broken):
    broken.run(allow_breaking=True)
    assert "new" in broken.table("customer_segments")["customer_id"].to_list()
    broken.run()


def test_the_version_stands_in_manifest_and_dictionary(broken):
    broken.run(allow_breaking=True)
    version = broken.layout.current.resolve()
    assert manifest(broken.folder / "out")["schema_version"] == SCHEMA_VERSION
    assert json.loads((version / "dictionary.json").read_text())["schema_version"] == SCHEMA_VERSION
