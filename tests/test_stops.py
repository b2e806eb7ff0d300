from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from steerage import stops

SOURCE = str(Path(stops.__file__).parents[1])

# The first line that is told says that the signal may come.
WAITS = """
import sys, time
from steerage import stops
from steerage.cli import signals
signals.GRACE_SECONDS = float(sys.argv[1])
signals.install()
def steps():
    for step in range(2):
        print("step", step, flush=True)
        for _ in range(int(sys.argv[2])):
            time.sleep(0.01)
            if step == 0 and signals.received():
                break
        yield step
for step in stops.in_whole_steps(steps()):
    try:
        signals.check()
    except KeyboardInterrupt:
        print("stopped after step", step, flush=True)
        sys.exit(signals.exit_code())
"""


def stopped(grace: float, naps: int) -> tuple[int, str, str]:
    command = [sys.executable, "-c", WAITS, str(grace), str(naps)]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "step 0\n"
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate()
    return process.returncode, out, error


def test_work_under_way_says_so_and_its_items_come_through() -> None:
    def work() -> Iterator[bool]:
        yield stops.must_wait()
        yield stops.must_wait()

    assert [(inside, stops.must_wait()) for inside in stops.in_whole_steps(work())] == [(True, False)] * 2
    with pytest.raises(ValueError, match="broken"), stops.unbroken():
        raise ValueError("broken")
    assert not stops.must_wait()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM on Windows")
def test_sigterm_is_heeded_after_the_step_that_it_came_in() -> None:
    assert stopped(60.0, 100_000) == (143, "stopped after step 0\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM on Windows")
def test_a_step_without_end_does_not_keep_a_process_that_is_to_stop() -> None:
    endless = WAITS.replace("if step == 0 and signals.received()", "if False")
    command = [sys.executable, "-c", endless, "0.1", "100000000"]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate()
    assert process.returncode == 143
    assert error == (
        "stopped in the middle of a long computation; what was saved before it is kept; "
        "give the same command again to go on\n"
    )
