"""What a file may unfold to: bounds that are checked before memory is asked for."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, BinaryIO, cast, final

from steerage.errors import BadData

MAX_BYTES = 8_000_000_000  # of a data set, as text or in memory
MAX_CELLS = 1_000_000_000  # rows times columns of a table
MAX_COLUMNS = 100_000
MAX_LINE = 64_000_000  # bytes of a line of text
MAX_PIXELS = 1 << 26  # of one image
FOLD, FOLD_FROM = 300, 256_000_000  # what is compressed may unfold so many times, or to so many bytes


def check_size(name: str, size: int, *, compressed: int | None = None) -> None:
    """Raises: BadData if what ``name`` unfolds to, ``size`` bytes, is too much; ``compressed``: bytes in the file."""
    if size > MAX_BYTES:
        raise BadData(f"{name} must unfold to at most {MAX_BYTES / 1e9:g} GB, got {size / 1e9:.1f}; use fewer rows")
    if compressed is not None and size > max(FOLD_FROM, FOLD * compressed):
        raise BadData(
            f"{name} must unfold to at most {FOLD} times its size, got {size / 1e6:,.0f} MB from "
            f"{compressed / 1e6:,.1f}; save it without compression if that is meant"
        )


def check_columns(name: str, columns: int, rows: int = 1) -> None:
    """Raises: BadData if a table has too many columns, or cells."""
    if columns > MAX_COLUMNS:
        raise BadData(f"{name} must have at most {MAX_COLUMNS:,} columns, got {columns:,}; use fewer")
    if columns * rows > MAX_CELLS:
        raise BadData(f"{name} must have at most {MAX_CELLS:,} cells, got {columns * rows:,}; use fewer rows")


def open_text(path: Path) -> BinaryIO:
    """The bytes of a file of text, gzipped if it ends in ``.gz``, which raise BadData once there are too many of them,
    or a line is too long. Raises: BadData for what is no file; OSError."""
    if not path.is_file():
        raise BadData(f"{path.name} must be a file; check the path")
    compressed = path.stat().st_size if path.suffix.lower() == ".gz" else None
    raw = path.open("rb") if compressed is None else gzip.open(path, "rb")  # noqa: SIM115  (closed by its reader)
    return cast(BinaryIO, io.BufferedReader(_Counted(raw, path.name, compressed), 1 << 18))


@final
class _Counted(io.RawIOBase):
    def __init__(self, raw: Any, name: str, compressed: int | None) -> None:
        self._raw, self._name, self._compressed = raw, name, compressed
        self._total = self._line = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._total += len(data)
        end = data.rfind(b"\n")
        self._line = self._line + len(data) if end < 0 else len(data) - end - 1
        check_size(self._name, self._total, compressed=self._compressed)
        if self._line > MAX_LINE:
            raise BadData(f"{self._name} must have lines of at most {MAX_LINE / 1e6:g} MB; is it a table?")
        return len(data)

    def close(self) -> None:
        self._raw.close()
        super().close()
