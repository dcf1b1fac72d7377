"""A bank of any size: copies of the bank sample, with ids of their own.

So every proportion is the sample's, its dirt included: some 14 transactions, 15 balances and 1.5 holdings a
customer in three years. Of the snapshots only the newest is there, as when a bank begins. Copies buy alike,
so that the fit, which is needed with and without the other extracts, takes next to nothing.
"""

import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl

from clvpipe.config.load import read_toml
from clvpipe.contracts.extracts import EXTRACTS
from clvpipe.locations import resource_dir

SAMPLE_CUSTOMERS = 5_000
_IDS = ("customer_id", "referred_by", "account_id", "transaction_id", "reverses_id")


def write_bank(folder: Path, customers: int) -> dict[str, int]:
    """Write all nine extracts as Parquet files of texts; their rows. Customers come in whole copies."""
    copies = pl.DataFrame({"copy": [f"-{number:05d}" for number in range(-(-customers // SAMPLE_CUSTOMERS))]})
    return {name: sum(_copy(path, name, folder, copies) for path in _files(name)) for name in EXTRACTS}


def write_config(folder: Path, names: tuple[str, ...]) -> Path:
    """The sample's configuration, with some of the extracts, for the files in the folder."""
    lines = [f"{key} = {value!r}" for key, value in _config().items() if key != "inputs"]
    for name in names:
        lines += [
            f"[inputs.{name}]",
            f"files = ['{name}_*.parquet']",
            f"delivery = '{_delivery(name)}'",
            "extract_date = { file_name = '_(?P<date>[0-9]{8})', format = '%Y%m%d' }",
        ]
    path = folder / f"with-{len(names)}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _files(name: str) -> list[Path]:
    files = sorted((resource_dir("sample") / "bank").glob(f"{name}_*.csv.gz"))
    return files[-1:] if _delivery(name) == "snapshot" else files


def _copy(path: Path, name: str, folder: Path, copies: pl.DataFrame) -> int:
    table = _config()["inputs"][name]
    text = gzip.decompress(path.read_bytes()).decode(table.get("encoding", "utf-8"))
    frame = pl.read_csv(io.StringIO(text), infer_schema=False, truncate_ragged_lines=True)
    frame = frame.rename({theirs: ours for ours, theirs in table.get("columns", {}).items()})
    ids = [pl.concat_str(key, "copy").alias(key) for key in _IDS if key in frame.columns]
    many = frame.join(copies if ids else copies.head(1), how="cross").with_columns(ids).drop("copy")
    many.write_parquet(folder / path.name.replace(".csv.gz", ".parquet"))
    return many.height


def _delivery(name: str) -> str:
    return str(_config()["inputs"][name].get("delivery", "append"))


def _config() -> dict[str, Any]:
    return read_toml(resource_dir("config") / "sample.toml")
