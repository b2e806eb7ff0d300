"""Facts about runs whose trainings go on in several processes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steerage import events
from steerage.bundle import load_network
from steerage.cost import Budget
from steerage.errors import BadArgument, RunConflict
from steerage.execute import WorkerPool
from steerage.synthesis import Result, main, synthesize
from steerage.synthesis.main import Interrupted
from steerage.synthesis.plan import effort_from
from steerage.synthesis.team import jobs_for
from tasks import table

DATA = table()
OPTIONS: dict[str, Any] = {"budget": Budget(max_params=120), "trials": 5, "epochs": 20, "ahead": 2}

# In workers, a file beside it has the first network that is built kill its process, or all be slow.
TEMPLATE = """
import multiprocessing, os, signal, time
from pathlib import Path
from steerage.templates import Mlp

class Mine(Mlp):
    name = "mine"

    def build(self, values, spec):
        network = super().build(values, spec)
        if multiprocessing.parent_process() is not None:
            if (Path(__file__).parent / "kill").exists():
                (Path(__file__).parent / "kill").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if (Path(__file__).parent / "slow").exists():
                network.register_forward_pre_hook(lambda *_: time.sleep(0.2))
        return network
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1) as workers:
        yield workers


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("template") / "mine.py"
    file.write_text(TEMPLATE)
    return f"{file}:Mine"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, template: str) -> Result:
    """By one process, with two trials under way at a time."""
    return synthesize(DATA, **OPTIONS, template=template, out=tmp_path_factory.mktemp("straight") / "run")


def same(result: Result, straight: Result) -> bool:
    """Whether all candidates and all that is delivered are the same to the last bit."""
    files = ("ranking.csv", Path("network") / "weights.safetensors")
    return {**result.summary, "seconds": None} == {**straight.summary, "seconds": None} and all(
        (result.folder / name).read_bytes() == (straight.folder / name).read_bytes() for name in files
    )


def logged(result: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (result / "events.jsonl").read_text().splitlines()]
    return [event for event in lines if event["event"] == kind]


def in_a_worker(event: object) -> bool:
    return isinstance(event, events.Training) and event.name.startswith("trial")


def test_workers_train_the_same_as_one_process(
    straight: Result, pool: WorkerPool, template: str, tmp_path: Path
) -> None:
    heard: list[object] = []
    result = synthesize(
        DATA, **OPTIONS, template=template, jobs=2, executor=pool, out=tmp_path / "run", listener=heard.append
    )
    assert same(result, straight)
    names = {event.name for event in heard if isinstance(event, events.NetworkTrained)}
    assert {"promoted-0", "promoted-1", "promoted-2"} <= names
    assert list((result.folder / "candidates").iterdir()) == []
    assert pool.submit(os.getpid).result() in pool.pids, "whoever made the pool ends it"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_worker_that_is_killed_costs_nothing_but_its_time(
    straight: Result, pool: WorkerPool, template: str, tmp_path: Path
) -> None:
    Path(template).with_name("kill").touch()
    result = synthesize(DATA, **OPTIONS, template=template, jobs=2, executor=pool, out=tmp_path / "run")
    assert ["SIGKILL" in event["reason"] for event in logged(result.folder, "TrialLost")] == [True]
    assert same(result, straight)


def test_a_stop_keeps_what_the_workers_were_doing_and_the_run_goes_on_with_other_jobs(
    straight: Result, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listener(event: object) -> None:
        if isinstance(event, events.Training) and event.name.startswith("trial"):
            raise KeyboardInterrupt

    options = {**OPTIONS, "template": template, "out": tmp_path / "run"}
    Path(template).with_name("slow").touch()
    monkeypatch.setattr(main, "WorkerPool", lambda jobs: WorkerPool(1))  # of two, the tests would wait for both
    with pytest.raises(Interrupted):
        synthesize(DATA, **options, jobs=2, listener=listener)
    assert [path.name for path in (tmp_path / "run" / "candidates").glob("*.state")] == ["open-0.state"]
    with pytest.raises(RunConflict, match="ahead was 2 and is 1"):
        synthesize(DATA, **{**options, "ahead": 1})
    del options["ahead"]  # which the run has kept
    assert same(synthesize(DATA, **options), straight)


def test_minutes_are_shared_by_workers(pool: WorkerPool, tmp_path: Path) -> None:
    result = synthesize(DATA, minutes=0.1, jobs=2, executor=pool, local=False, out=tmp_path / "run")
    assert result.summary["trials"] >= 2
    assert load_network(result.folder / "network").cost.params == result.summary["params"]


def test_how_many_jobs_there_are_follows_from_what_is_asked() -> None:
    timed, counted, short = effort_from(10.0, None, None), effort_from(10.0, None, 5), effort_from(0.1, None, None)
    assert [jobs_for("auto", effort) for effort in (counted, short)] == [1, 1]
    assert jobs_for("auto", timed) >= 1
    assert jobs_for(3, counted) == 3
    with pytest.raises(BadArgument, match="jobs must be positive"):
        jobs_for(0, timed)
    with pytest.raises(BadArgument, match="ahead must be positive"):
        synthesize(DATA, ahead=0)
