"""Where trainings run: in processes of this machine, or on a cluster; each is a ``concurrent.futures.Executor``."""

from __future__ import annotations

from steerage.execute.cores import usable_cores
from steerage.execute.pool import WorkerLost, WorkerPool

__all__ = ["WorkerLost", "WorkerPool", "usable_cores"]
