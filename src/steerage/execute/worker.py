"""The process of a worker: it does one task after the other, ends with its driver, and stops when it is told to."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
import traceback
from multiprocessing import util
from multiprocessing.connection import Connection
from typing import Any, NoReturn

STOP = b"stop"  # in place of a task: stop what is being done, and end

_stopping = threading.Event()
_driver: Connection | None = None  # of the worker that this process is


def stopping() -> bool:
    """Whether the work of this process is to stop: whoever works on something long asks now and then.

    It keeps what it has, and raises KeyboardInterrupt. False in a process that is no worker.
    """
    return _stopping.is_set()


def tell(message: Any) -> None:
    """Give ``message`` to whoever listens to the pool; goes nowhere in a process that is no worker."""
    if _driver is not None:
        _driver.send(("said", message))


def serve(driver: Connection, threads: int) -> None:
    """Do the tasks that come from ``driver``, with so many threads of torch, until it ends or says ``STOP``.

    A task is a pickled (function, arguments, keyword arguments). Answers are ("ready", None) once, then for each task
    ("returned", value) or ("raised", (exception, traceback as text)).
    """
    global _driver
    _driver = driver
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def on_signal(number: int, frame: object) -> None:
        _stopping.set()
        tasks.put(STOP)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the driver says what comes of it
    signal.signal(signal.SIGTERM, on_signal)
    threading.Thread(target=_listen, args=(driver, tasks), daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    driver.send(("ready", None))
    while (task := tasks.get()) != STOP:
        try:
            function, args, kwargs = pickle.loads(task)
            answer: tuple[str, Any] = ("returned", function(*args, **kwargs))
        except KeyboardInterrupt:
            break
        except BaseException as error:
            answer = ("raised", (_sendable(error), traceback.format_exc()))
        driver.send(answer)
    if stopping():
        _end(0)


def _listen(driver: Connection, tasks: queue.SimpleQueue[bytes]) -> None:
    """Take in tasks while others are being done. Without its driver a worker has nothing to live for."""
    try:
        while True:
            task = driver.recv_bytes()
            if task == STOP:
                _stopping.set()
            tasks.put(task)
    except (EOFError, OSError):
        _end(1)


def _end(code: int) -> NoReturn:
    """End at once: taking all modules apart may take longer than there is.

    Semaphores that libraries have made (progress bars do) are given back, of which Python would warn otherwise.
    """
    util._run_finalizers(0)  # type: ignore[attr-defined]
    os._exit(code)


def _sendable(error: BaseException) -> BaseException:
    """``error``, or what says the same where it does not survive pickling."""
    try:
        if isinstance(pickle.loads(pickle.dumps(error)), type(error)):
            return error
    except Exception:
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
