"""A bench as it travels to other processes: its tensors in a file that all of them map, all else by value."""

from __future__ import annotations

import pickle
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from steerage import events
from steerage.execute.shared import mapped, share
from steerage.execute.worker import stopping, tell
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock, Stopwatch
from steerage.templates.registry import import_file, imported_files

SHARED = "data.shared"  # name of the file
ROWS = ("train_rows", "validation_rows")
OWN = ("clock", "on_tick")  # of a bench: each process has others
TOLD_SECONDS = 0.5  # between two signs of life


@final
@dataclass(frozen=True)
class Parcel:
    """What ``bench`` is made of again in another process, once per process: a few kilobytes.

    ``files``: of the user, that must be imported there before. The clock is that of the run, on this machine by the
    clock that nobody sets, on others by the time of day.
    """

    content: bytes
    files: tuple[Path, ...]

    @staticmethod
    def of(bench: Bench, folder: Path) -> Parcel:
        """Parcel of ``bench``, with its tensors in ``folder``. Raises: SteerageError when they cannot be written."""
        dataset, file = bench.dataset, (folder / SHARED).resolve()
        data = {one.name: getattr(dataset, one.name) for one in fields(dataset)}
        tensors = {name: value for name, value in data.items() if isinstance(value, Tensor)}
        share(file, {**tensors, **{name: getattr(bench, name) for name in ROWS}})
        left_out: dict[str, Any] = dict.fromkeys(tensors, torch.empty(0))
        others = [one.name for one in fields(bench) if one.name not in (*ROWS, *OWN)]
        about = {**{name: getattr(bench, name) for name in others}, "dataset": replace(dataset, **left_out)}
        content = pickle.dumps(
            (file, tuple(tensors), about, _machine(), bench.clock() - time.monotonic(), bench.clock() - time.time())
        )
        return Parcel(content, tuple(imported_files()))

    @cached_property
    def bench(self) -> Bench:
        """The bench, in this process; its trainings tell of themselves, and stop when they are to."""
        file, names, about, machine, offset, by_day = pickle.loads(self.content)
        tensors = mapped(file)
        dataset = replace(about["dataset"], **{name: tensors[name] for name in names})
        rows = {name: tensors[name] for name in ROWS}
        clock = RunClock(before=time.monotonic() + offset if machine == _machine() else time.time() + by_day)
        return Bench(**{**about, **rows, "dataset": dataset, "clock": clock, "on_tick": _on_tick()})

    def __reduce__(self) -> tuple[Callable[..., Parcel], tuple[Any, ...]]:
        return _received, (self.content, self.files)


def _machine() -> str:
    """What is the same for all processes that share a monotonic clock: a machine, from one start of it to the next."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    return platform.node()


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
