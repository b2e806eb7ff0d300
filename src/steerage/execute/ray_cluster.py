"""A Ray cluster as an executor: tasks of lost nodes are given to others."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, TypeVar, final

from steerage.errors import BadArgument, MissingDependency
from steerage.execute.pool import WorkerLost

MOVES = 20  # of a task from a node that was lost to another

T = TypeVar("T")


@final
class RayExecutor(Executor):
    """Each task has ``cpus`` and ``gpus`` of a node to itself, and as many threads of torch as whole ``cpus``.

    ``address``: of a cluster, or "auto" for the one that this machine belongs to, or else one of its own cores alone. A
    task whose node is lost begins anew elsewhere; one whose process is lost has the exception WorkerLost.

    Raises: MissingDependency without Ray; BadArgument for a cluster that does not answer.
    """

    def __init__(self, address: str = "auto", *, cpus: float = 1.0, gpus: float = 0.0) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependency("a cluster needs Ray; install it with pip install 'steerage-nn[ray]'") from error
        self._ray, self._cpus, self._gpus = ray, cpus, gpus
        self._began_it = not ray.is_initialized()
        if self._began_it:
            where = None if address == "auto" else address
            try:
                ray.init(address=where, log_to_driver=False, logging_level="ERROR", configure_logging=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise BadArgument(f"no Ray cluster answers at {address} ({error}); see `ray status`") from error
        self._perform = ray.remote(_performed).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        self._references: dict[Future[Any], Any] = {}
        self._lock, self._closed = threading.Lock(), False

    @property
    def places(self) -> int:
        """How many tasks the cluster can do at a time, as it is now."""
        has = self._ray.cluster_resources()
        by_gpus = has.get("GPU", 0.0) / self._gpus if self._gpus else float("inf")
        return max(1, int(min(has.get("CPU", 0.0) / self._cpus, by_gpus)))

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` done on some node; all of it, and what comes back, is pickled."""
        future: Future[T] = Future()
        self._send(pickle.dumps((fn, args, kwargs)), future, MOVES)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; with ``cancel_futures`` at once, else when all is done."""
        self._closed = True
        with self._lock:
            references = dict(self._references)
        if cancel_futures:
            for reference in references.values():
                with suppress(Exception):
                    self._ray.cancel(reference)
        for future in references if wait and not cancel_futures else ():
            with suppress(Exception):
                future.exception()
        if self._began_it and self._ray.is_initialized():
            self._ray.shutdown()

    def stop(self) -> None:
        """Leave the cluster, and have what it does for us cancelled."""
        self.shutdown(cancel_futures=True)

    def _send(self, content: bytes, future: Future[Any], moves: int) -> None:
        reference = self._perform.remote(content, int(self._cpus) or 1)
        with self._lock:
            self._references[future] = reference
        reference.future().add_done_callback(lambda done: self._settle(done, content, future, moves))

    def _settle(self, done: Future[Any], content: bytes, future: Future[Any], moves: int) -> None:
        """Hand on what came of a task; begin it anew where its node was lost."""
        errors = self._ray.exceptions
        gone = (errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError)
        error = done.exception()
        if isinstance(error, gone) and moves > 0 and not self._closed:
            return self._send(content, future, moves - 1)
        with self._lock:
            self._references.pop(future, None)
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, errors.RayTaskError):
            future.set_exception(error.cause)
        elif isinstance(error, errors.RayError):
            future.set_exception(WorkerLost(f"Ray lost it ({type(error).__name__})"))
        else:
            future.set_exception(error)


def _performed(content: bytes, threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    function, args, kwargs = pickle.loads(content)
    return function(*args, **kwargs)
