"""What `clvpipe path` prints can be read by everybody, and they read the same."""

import datetime
import subprocess
import sys
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from clvpipe.contracts import PUBLISHED


@pytest.fixture(scope="module", params=sorted(PUBLISHED))
def path(request, cdnow):
    command = [sys.executable, "-m", "clvpipe.cli.main", "path", "cdnow", "--out", str(cdnow)]
    command += ["--dataset", request.param]
    return request.param, subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _plain(value):
    if value is None or (isinstance(value, float) and value != value) or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp):
        return value.date()
    return value.item() if hasattr(value, "item") else value


def test_four_readers_agree(path):
    dataset, file = path
    rows = pq.read_table(file).to_pylist()
    assert pl.read_parquet(file).to_dicts() == rows
    with duckdb.connect() as connection:
        result = connection.execute("FROM read_parquet($file)", {"file": file})
        names = [column[0] for column in result.description]
        assert [dict(zip(names, row, strict=True)) for row in result.fetchall()] == rows
    frame = pd.read_parquet(file)
    assert [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")] == rows
    assert tuple(frame.columns) == PUBLISHED[dataset].column_names


def test_types_are_those_of_the_contract(path):
    dataset, file = path
    with duckdb.connect() as connection:
        described = connection.execute("DESCRIBE FROM read_parquet($file)", {"file": file}).fetchall()
    assert {row[0]: row[1] for row in described} == {c.name: c.type for c in PUBLISHED[dataset].columns}


def test_rows_are_in_order_of_their_key(path):
    dataset, file = path
    frame = pl.read_parquet(file)
    key = list(PUBLISHED[dataset].key)
    assert frame.select(key).equals(frame.select(key).sort(key, nulls_last=False))
    assert frame.select(key).is_unique().all()


def test_python_sees_plain_values(cdnow, path):
    _dataset, file = path
    allowed = (str, int, float, bool, Decimal, datetime.date, type(None))
    for row in pl.read_parquet(file).head(50).to_dicts():
        assert all(isinstance(value, allowed) for value in row.values())
        assert row["as_of_date"] == datetime.date(1997, 9, 30)
