"""Bytes to clean UTF-8 text, in a stream: encodings, line ends, runs of blanks, and the counts to check by.

DuckDB and Arrow read UTF-8 only, and latin-1 would turn GB18030 into rubbish without a word; Python's
codecs do the decoding. A byte that the encoding does not know becomes U+FFFD, by which the record is known
and set aside later.
"""

import codecs
import io
import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO

from clvpipe.extracts.files import blocks

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BLANKS = re.compile(r"[ \t]+")


class CleanText(io.RawIOBase):
    r"""A readable stream of UTF-8 bytes with \n line ends and no byte order mark.

    Attributes:
        lines: Physical lines seen so far (a last line without an end counts).
        quotes: Quote characters seen so far; an odd total means one was never closed.
    """

    def __init__(self, stream: BinaryIO, encoding: str, *, squeeze_blanks: bool) -> None:
        self.lines = 0
        self.quotes = 0
        self._ends_open = False
        self._buffer = b""
        self._chunks = self._squeezed(stream, encoding) if squeeze_blanks else _decoded(stream, encoding)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, target: bytearray) -> int:  # type: ignore[override]
        """Fill the target with the next bytes; 0 at the end."""
        while not self._buffer:
            chunk = next(self._chunks, None)
            if chunk is None:
                self.lines += self._ends_open
                self._ends_open = False
                return 0
            self.lines += chunk.count("\n")
            self.quotes += chunk.count('"')
            self._ends_open = not chunk.endswith("\n") if chunk else self._ends_open
            self._buffer = chunk.encode("utf-8")
        size = min(len(target), len(self._buffer))
        target[:size] = self._buffer[:size]
        self._buffer = self._buffer[size:]
        return size

    @staticmethod
    def _squeezed(stream: BinaryIO, encoding: str) -> Iterator[str]:
        rest = ""
        for chunk in _decoded(stream, encoding):
            *whole, rest = (rest + chunk).split("\n")
            if whole:
                yield "".join(f"{_BLANKS.sub(' ', line).strip()}\n" for line in whole)
        if rest:
            yield _BLANKS.sub(" ", rest).strip()


def last_open_quote(stream: BinaryIO, encoding: str) -> int:
    """The line on which the quotes begin not to pair up: where the field that is never closed was opened."""
    opened, quotes, number = 0, 0, 0
    rest = ""
    for chunk in itertools.chain(_decoded(stream, encoding), ("\n",)):
        *whole, rest = (rest + chunk).split("\n")
        for line in whole:
            number += 1
            found = line.count('"')
            if quotes % 2 == 0 and found % 2:
                opened = number
            quotes += found
    return opened


def _decoded(stream: BinaryIO, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    first = True
    for block in blocks(stream):
        text = newlines.decode(block)
        if first and text:
            text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
            first = False
        if text:
            yield text
    if tail := newlines.decode(b"", final=True):
        yield tail
