"""The only room that imports duckdb."""

from clvpipe.engine.duckdb_engine import Engine

__all__ = ["Engine"]
