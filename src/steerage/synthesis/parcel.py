"""A bench as it travels to other processes: its tensors in a file that all of them map, all else by value."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, final

import torch

from steerage import events
from steerage.execute.shared import mapped, share
from steerage.execute.worker import stopping, tell
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock, Stopwatch
from steerage.templates.registry import import_file, imported_files

SHARED = "data.shared"  # name of the file
TENSORS = ("x", "y", "x_test", "y_test", "weights", "weights_test")  # of a data set
ROWS = ("train_rows", "validation_rows")  # of a bench
TOLD_SECONDS = 0.5  # between two signs of life


@final
@dataclass(frozen=True)
class Parcel:
    """What ``bench`` is made of again in another process, once per process: a few kilobytes.

    ``files``: of the user, that must be imported there before. The clock is that of the run, by the time of day.
    """

    content: bytes
    files: tuple[Path, ...]

    @staticmethod
    def of(bench: Bench, folder: Path) -> Parcel:
        """Parcel of ``bench``, with its tensors in ``folder``. Raises: SteerageError when they cannot be written."""
        dataset, file = bench.dataset, (folder / SHARED).resolve()
        tensors = {name: getattr(dataset, name) for name in TENSORS}
        tensors |= {name: getattr(bench, name) for name in ROWS}
        share(file, {name: one for name, one in tensors.items() if one is not None})
        none = torch.empty(0)
        light = replace(dataset, x=none, y=none, x_test=none, y_test=none, weights=None, weights_test=None)
        offset = bench.clock() - time.time()
        content = pickle.dumps((file, light, bench.template, bench.budget, bench.depth, bench.core, offset))
        return Parcel(content, tuple(imported_files()))

    @cached_property
    def bench(self) -> Bench:
        """The bench, in this process; its trainings tell of themselves, and stop when they are to."""
        file, light, template, budget, depth, core, offset = pickle.loads(self.content)
        tensors = mapped(file)
        dataset = replace(light, **{name: tensors.get(name) for name in TENSORS})
        train, validation = (tensors[name] for name in ROWS)
        clock = RunClock(before=time.time() + offset)
        return Bench(dataset, template, budget, train, validation, clock, _on_tick(), depth, core)

    def __reduce__(self) -> tuple[Callable[..., Parcel], tuple[Any, ...]]:
        return _received, (self.content, self.files)


@lru_cache(maxsize=1)
def _received(content: bytes, files: tuple[Path, ...]) -> Parcel:
    known = imported_files()
    for file in files:
        if file not in known:
            import_file(file)
    return Parcel(content, files)


def _on_tick() -> Callable[[str, Any], None]:
    due = Stopwatch(TOLD_SECONDS)

    def on_tick(name: str, tick: Any) -> None:
        if stopping():
            raise KeyboardInterrupt
        if due.due():
            tell(events.Training(name, min(1.0, tick.progress), tick.loss))

    return on_tick
