"""Worker processes of this machine as an executor that survives the death of any of them."""

from __future__ import annotations

import multiprocessing
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar, final

from steerage.errors import BadArgument, SteerageError
from steerage.execute.worker import STOP, serve

STOP_SECONDS = 3.5  # for what is being done to be kept

T = TypeVar("T")
_Task = tuple[bytes, "Future[Any]"]


class WorkerLost(BrokenExecutor):
    """The worker that had a task has ended without an answer; the pool has another one by now."""


class _InWorker(Exception):
    """The traceback of an exception, as it was in the worker."""


@final
class WorkerPool(Executor):
    """``workers`` processes, each with ``threads`` threads of torch, started afresh (not forked) on every system.

    The death of a worker costs the task that it had, whose future has the exception WorkerLost; another one takes its
    place. Workers end with the process that made them, in whatever way that ends. ``said``: what tasks gave to
    ``worker.tell``, in order. Raises: BadArgument for less than one worker.
    """

    def __init__(self, workers: int, *, threads: int = 1) -> None:
        if workers < 1:
            raise BadArgument(f"a pool needs at least one worker, got {workers}")
        self.said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads, self._tasks = threads, queue.SimpleQueue[_Task | None]()
        self._closed = False
        self._desks = [_Desk(self) for _ in range(workers)]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` done by a worker; all of it, and what comes back, is pickled."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        future: Future[T] = Future()
        self._tasks.put((pickle.dumps((fn, args, kwargs)), future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once all tasks are done; with ``cancel_futures``, once those are that were begun."""
        self._closed = True
        while cancel_futures and not self._tasks.empty():
            with suppress(queue.Empty):
                task = self._tasks.get_nowait()
                if task is not None:
                    task[1].cancel()
        for _ in self._desks:
            self._tasks.put(None)
        for desk in self._desks if wait else ():
            desk.thread.join()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the workers: tasks are told to stop (``worker.stopping``), and have so long to keep what they have."""
        self.shutdown(wait=False, cancel_futures=True)
        for desk in self._desks:
            desk.ask_to_stop()
        deadline = time.monotonic() + seconds
        for desk in self._desks:
            desk.thread.join(max(0.0, deadline - time.monotonic()))
        for desk in self._desks:
            desk.kill()

    @property
    def pids(self) -> list[int]:
        """Process numbers of the workers that there are now."""
        return [desk.process.pid for desk in self._desks if desk.process is not None and desk.process.pid is not None]

    def _next(self) -> _Task | None:
        return self._tasks.get()


class _Desk:
    """A place for one worker, served by a thread of the driver."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self.process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._ready, self._stopped, self._sending = False, False, threading.Lock()
        self._start()  # in this thread, where a script that must not do so is told
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def ask_to_stop(self) -> None:
        with self._sending, suppress(OSError, ValueError):
            self._stopped = True
            if self._connection is not None:
                self._connection.send_bytes(STOP)

    def kill(self) -> None:
        if self.process is not None and self.process.is_alive():
            self.process.kill()

    def _serve(self) -> None:
        while (task := self._pool._next()) is not None:
            content, future = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if self.process is None:
                    self._start()
                self._settle(content, future)
            except (EOFError, OSError):
                lost = self._lost()
                future.set_exception(lost)
                if isinstance(lost, WorkerLost):
                    with suppress(OSError):  # the next task tries it again
                        self._start()
        self.ask_to_stop()
        if self.process is not None:
            self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        with self._sending:
            if self._stopped:
                return
            self._connection, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, self._pool._threads), daemon=True)
            process.start()
            theirs.close()  # so that the end of the worker shows
            self.process, self._ready = process, False

    def _settle(self, content: bytes, future: Future[Any]) -> None:
        """Have the worker do a task. Raises: EOFError or OSError if it ends meanwhile."""
        with self._sending:
            if self._connection is None or self._stopped:
                raise EOFError
            self._connection.send_bytes(content)
        while True:
            kind, value = self._connection.recv()
            if kind == "returned":
                return future.set_result(value)
            if kind == "raised":
                error, text = value
                error.__cause__ = _InWorker(f"\n{text}")
                return future.set_exception(error)
            if kind == "said":
                self._pool.said.put(value)
            else:
                self._ready = True

    def _lost(self) -> Exception:
        """What to say of the worker that ended."""
        process, self.process, connection = self.process, None, self._connection
        if connection is not None:
            connection.close()
        if process is None:
            return WorkerLost("there is no worker process")
        process.join()
        if not self._ready and not self._stopped and (process.exitcode or 0) > 0:
            return SteerageError(
                "a worker process could not start; a script that uses several jobs must not run again when it is "
                'imported: put what it does under if __name__ == "__main__"'
            )
        return WorkerLost(f"its worker process {_how(process.exitcode)}")


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was killed ({name}{', which is what a lack of memory looks like' if name == 'SIGKILL' else ''})"
    return f"was killed by signal {-code}"
