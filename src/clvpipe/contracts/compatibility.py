"""Whether a reader of one published schema can read another. Additions never break; all else may."""

from collections.abc import Iterator, Mapping
from typing import Any

# What a reader may rely on in a column beside its presence.
_PROMISES = ("type", "unit", "status_column", "nullable", "code_scheme")


def breaking_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each change between two data dictionaries that can break a reader.

    A column that may be NULL now and might not before breaks; the other way round does not.
    """
    for name, old in before["datasets"].items():
        new = after["datasets"].get(name)
        if new is None:
            yield f"the dataset {name} is gone"
            continue
        if old["key"] != new["key"]:
            yield f"{name}: the key was {', '.join(old['key'])} and is {', '.join(new['key'])}"
        columns = {column["name"]: column for column in new["columns"]}
        for column in old["columns"]:
            yield from _of_column(name, column, columns.get(column["name"]))


def _of_column(dataset: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        yield f"{dataset}.{old['name']}: the column is gone"
        return
    for promise in _PROMISES:
        if old[promise] != new[promise] and not (promise == "nullable" and old[promise]):
            yield f"{dataset}.{old['name']}: {promise} was {old[promise]} and is {new[promise]}"
