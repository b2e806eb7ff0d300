"""Where trainings run: in processes of this machine, or on a cluster; each is a ``concurrent.futures.Executor``."""

from __future__ import annotations

from steerage.execute.cores import usable_cores
from steerage.execute.pool import WorkerLost, WorkerPool
from steerage.execute.ray_cluster import RayExecutor

__all__ = ["RayExecutor", "WorkerLost", "WorkerPool", "usable_cores"]
