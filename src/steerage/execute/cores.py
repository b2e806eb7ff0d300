"""How many trainings this machine can do at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Physical cores that this process may use, at least 1.

    Two threads of one core share what computes, so on Linux they count once; elsewhere the system's count is taken.
    Where a container is allowed less time than its cores have, its share counts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota() or len(cores)))


def _siblings(cpu: int) -> str:
    """Name of the core that ``cpu`` is a thread of."""
    with suppress(OSError):
        return (CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    return str(cpu)


def _quota() -> int | None:
    """Whole cores of a container's share of the processor's time (cgroup v2); None where it is not limited."""
    with suppress(OSError, ValueError):
        quota, period = QUOTA.read_text().split()
        return None if quota == "max" else max(1, round(int(quota) / int(period)))
    return None
