"""Damaged files, full disks and clocks that jump: a run says what is wrong, or goes on to the same network."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from steerage import events, store
from steerage.cost import Budget
from steerage.errors import BadBundle, SteerageError
from steerage.search.run import study_file
from steerage.synthesis import Result, candidate, synthesize
from steerage.synthesis.clock import RunClock
from steerage.synthesis.main import Interrupted
from steerage.synthesis.parcel import Parcel
from steerage.training import fit
from tasks import table

DATA, BUDGET = table(), Budget(max_params=120)


def run(out: Path, listener: Callable[[object], None] | None = None) -> Result:
    return synthesize(DATA, budget=BUDGET, trials=3, epochs=4, out=out, listener=listener)


def weights(result: Result) -> bytes:
    return (result.folder / "network" / "weights.safetensors").read_bytes()


def stop_in(name: str, out: Path) -> None:
    def listener(event: object) -> None:
        if isinstance(event, events.Training) and event.name == name and event.progress > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(out, listener)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run(tmp_path_factory.mktemp("straight") / "run")


def test_damaged_files_of_trainings_cost_time_and_change_nothing(
    straight: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)
    stop_in("refit", tmp_path / "run")
    files = [path for name in ("candidates", "local") for path in (tmp_path / "run" / name).iterdir()]
    damaged = [path for path in files if path.suffix in (".done", ".state", ".prev")]
    assert {path.suffix for path in damaged} == {".done", ".state", ".prev"}
    for at, path in enumerate(damaged):
        data = bytearray(path.read_bytes())
        data[len(data) * at // len(damaged)] ^= 4
        path.write_bytes(data if at % 2 else data[: len(data) // 2])
    (tmp_path / "run" / "network" / ".weights.safetensors.1-ab.tmp").write_bytes(b"of a process that was killed")
    with pytest.warns(UserWarning, match="is damaged"):
        assert weights(run(tmp_path / "run")) == weights(straight)
    assert not list((tmp_path / "run").rglob(".*.tmp"))


def test_a_full_disk_ends_the_run_in_one_line_and_the_run_goes_on(
    straight: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = store.write_atomic
    for name in ("ended-0", "summary"):

        def full(path: str | Path, content: bytes | str, name: str = name) -> None:
            if Path(path).name.startswith(name):
                monkeypatch.setattr(os, "fsync", no_room)
            writing(path, content)

        def no_room(handle: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            for module in ("steerage.store", "steerage.bundle.files", "steerage.report.page"):
                patch.setattr(f"{module}.write_atomic", full, raising=False)
            with pytest.raises(SteerageError, match=r"^[^\n]*no room for [^\n]*free some space[^\n]*$"):
                run(tmp_path / "run")
        monkeypatch.undo()
    assert weights(run(tmp_path / "run")) == weights(straight)


def test_a_damaged_list_of_trials_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with study_file(path):
        pass
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"x" * 100 + whole[100:], whole[:4096] + bytes(4096) + whole[8192:]):
        path.write_bytes(damaged)
        with pytest.raises(BadBundle, match=r"study\.db is damaged .*restore it from a copy"), study_file(path):
            pass


def test_a_finished_run_keeps_no_checkpoint(straight: Result) -> None:
    left = [path.name for name in ("candidates", "local") for path in (straight.folder / name).iterdir()]
    assert left == []


def test_bytes_of_a_folder_are_those_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(bytes(10))
    (tmp_path / "a" / "b" / "two").write_bytes(bytes(5))
    assert store.bytes_of(tmp_path) == 15


def test_a_jump_of_the_system_time_does_not_move_the_clock_of_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from steerage.synthesis.candidate import Bench
    from steerage.templates import Mlp
    from steerage.training.split import validation_split

    bench = Bench(DATA, Mlp(), BUDGET, *validation_split(DATA, 0), RunClock(before=100.0))
    parcel = Parcel.of(bench, tmp_path)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 1e6)
    assert 100.0 <= parcel.bench.clock() < 1000.0
