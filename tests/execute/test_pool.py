"""Facts about the worker processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from steerage.errors import BadArgument, InfeasibleBudget, TrainingFailed
from steerage.execute import WorkerLost, WorkerPool, usable_cores
from steerage.execute.worker import stopping, tell

SOURCE = Path(__file__).resolve().parents[2] / "src"


def double(number: int) -> int:
    return 2 * number


def fail(kind: str) -> None:
    if kind == "training":
        raise TrainingFailed("the loss is nan")
    raise InfeasibleBudget("max_params", 1, 2, {})


def threads() -> int:
    tell("hello")
    return torch.get_num_threads()


def die() -> None:
    os._exit(7)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_the_end(file: Path) -> None:
    """Work until it is to stop, and keep that."""
    file.with_suffix(".begun").touch()
    while not stopping():
        time.sleep(0.01)
    file.write_text("kept")
    raise KeyboardInterrupt


def until(fact: Callable[[], bool]) -> None:
    for _ in range(3000):
        if fact():
            return
        time.sleep(0.01)
    pytest.fail("it never came to that")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    status = Path(f"/proc/{pid}/status")  # one that nobody has waited for yet has a number, but no life
    return not (status.is_file() and "State:\tZ" in status.read_text())


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1) as workers:
        yield workers


def test_tasks_are_done_in_other_processes_with_one_thread_each(pool: WorkerPool) -> None:
    assert [one.result() for one in [pool.submit(double, number) for number in range(5)]] == [0, 2, 4, 6, 8]
    assert pool.submit(os.getpid).result() in pool.pids and os.getpid() not in pool.pids
    assert pool.submit(threads).result() == 1
    assert pool.said.get(timeout=10) == "hello"


def test_errors_come_back_with_where_they_were_raised(pool: WorkerPool) -> None:
    error = pool.submit(fail, "training").exception()
    assert isinstance(error, TrainingFailed) and "in fail" in str(error.__cause__)
    error = pool.submit(fail, "budget").exception()
    assert isinstance(error, Exception) and "InfeasibleBudget: max_params=1 cannot be met" in str(error)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_the_death_of_a_worker_costs_one_task(pool: WorkerPool) -> None:
    dying, later = pool.submit(die), pool.submit(double, 4)
    assert isinstance(dying.exception(), WorkerLost) and "exit code 7" in str(dying.exception())
    assert later.result() == 8
    assert "SIGKILL, which is what a lack of memory looks like" in str(pool.submit(be_killed).exception())


def test_what_is_under_way_is_kept_when_a_pool_is_stopped_and_what_waits_is_left_undone(tmp_path: Path) -> None:
    pool, file = WorkerPool(1), tmp_path / "work"
    working, waiting = pool.submit(wait_for_the_end, file), pool.submit(double, 2)
    until(file.with_suffix(".begun").exists)
    pids = pool.pids
    pool.stop()
    assert file.read_text() == "kept"
    assert isinstance(working.exception(), WorkerLost) and waiting.cancelled()
    until(lambda: not any(is_alive(pid) for pid in pids))
    pool.stop()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(double, 2)


DRIVER = """
import sys, time
from pathlib import Path
from steerage.execute import WorkerPool
from test_pool import wait_for_the_end
if {guard}:
    pool = WorkerPool(1)
    task = pool.submit(wait_for_the_end, Path(sys.argv[1]))
    while not Path(sys.argv[1]).with_suffix(".begun").exists() and not task.done():
        time.sleep(0.01)
    print(task.exception() if task.done() else pool.pids[0], flush=True)
    time.sleep(0 if task.done() else 60)
"""


def driver(tmp_path: Path, guard: str) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(DRIVER.format(guard=guard))
    paths = os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "work")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_workers_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    with driver(tmp_path, '__name__ == "__main__"') as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert is_alive(worker)
        process.kill()
    until(lambda: not is_alive(worker))


def test_a_script_that_runs_again_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    with driver(tmp_path, "True") as process:
        assert process.stdout is not None
        assert "a worker process could not start; a script that uses several jobs" in process.stdout.read()


def test_a_pool_needs_a_worker_and_a_machine_has_a_core() -> None:
    with pytest.raises(BadArgument, match="at least one worker"):
        WorkerPool(0)
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_a_pool_that_ends_leaves_no_warning_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "from steerage.execute import WorkerPool\n"
        "kept = []\n"
        "def make_a_semaphore():\n"
        "    kept.append(multiprocessing.RLock())\n"
        "if __name__ == '__main__':\n"
        "    with WorkerPool(1) as pool:\n"
        "        pool.submit(make_a_semaphore).result()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
