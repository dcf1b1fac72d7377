"""Queries: the files under sql/, and those built from the contract; linted, bound, and cast to it."""

from clvpipe.sqlrepo.keyed import keyed_query
from clvpipe.sqlrepo.lifecycle import lifecycle_rules
from clvpipe.sqlrepo.lint import lint
from clvpipe.sqlrepo.repo import Query, SqlFile, cast_to, load, sql_files
from clvpipe.sqlrepo.rules import RuleCase
from clvpipe.sqlrepo.typed import typing_parameters, typing_query

__all__ = [
    "Query",
    "RuleCase",
    "SqlFile",
    "cast_to",
    "keyed_query",
    "lifecycle_rules",
    "lint",
    "load",
    "sql_files",
    "typing_parameters",
    "typing_query",
]
