"""What a section of the benchmark is: the runs it needs, how one is measured, and the figures that come of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from nas_tables.kept import Found, Run


@final
@dataclass(frozen=True)
class Options:
    """What was asked for: tables by path, number of seeds, and methods (all of them if empty)."""

    tables: tuple[Path, ...]
    seeds: int
    methods: tuple[str, ...] = ()

    def path(self, table: str) -> Path:
        """File of a table."""
        return next(path for path in self.tables if path.stem == table)


Figures = tuple[list[dict[str, Any]], list[str]]  # rows of the result file, and lines to print


@final
@dataclass(frozen=True)
class Section:
    """``measure`` is called in another process; ``alone``: one run at a time, each in a process of its own."""

    runs: Callable[[Options], Sequence[Run]]
    measure: Callable[[Options, Run], dict[str, Any]]
    figures: Callable[[Options, Found], Figures]
    alone: bool = False
