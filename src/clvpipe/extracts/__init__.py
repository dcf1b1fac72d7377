"""Extract files: find them, read their text strictly, and yield records by column name."""

from clvpipe.extracts.files import SourceFile, find_files
from clvpipe.extracts.records import FileRecords, RawReject, column_sources, read_records, readable

__all__ = [
    "FileRecords",
    "RawReject",
    "SourceFile",
    "column_sources",
    "find_files",
    "read_records",
    "readable",
]
