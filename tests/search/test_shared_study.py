"""Facts about studies in a database that several drivers share."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from steerage.errors import BadArgument, MissingDependency, RunConflict, SteerageError
from steerage.events import StorageAway, StorageBack, TrialFinished, TrialLost, TrialStarted
from steerage.search.evaluation import TrialOutcome
from steerage.search.mirror import mirror_of
from steerage.search.ranking import ranking
from steerage.search.run import search, study_file
from steerage.search.shared_study import StudyAddress, keep_copy, shared_study
from steerage.space import Space, Values

SPACE = Space({"lr": FloatDistribution(1e-4, 1e-1, log=True), "kind": CategoricalDistribution(["a", "b"])})
TRIALS = 12
SOURCE = Path(__file__).resolve().parents[2] / "src"

# Two drivers, forks of one process that has paid for the imports. The first is killed in its third training.
# Its trial is free after ``grace``: seconds for which a busy machine must not halt the one that lives.
DRIVERS = """
import os, signal, sys, time
from pathlib import Path
from optuna.distributions import CategoricalDistribution, FloatDistribution
from steerage.search.evaluation import TrialOutcome
from steerage.search.run import search
from steerage.search.shared_study import StudyAddress, shared_study
from steerage.space import Space

url, folder, trials = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
space = Space({"lr": FloatDistribution(1e-4, 1e-1, log=True), "kind": CategoricalDistribution(["a", "b"])})

def drive(name):
    trained = 0

    def evaluate(number, values):
        nonlocal trained
        trained += 1
        with open(folder / "trained", "a") as log:
            log.write(f"{name} {number} {values['lr']!r} {values['kind']}\\n")
        if name == "first" and trained == 3:
            (folder / "in-training").touch()
            time.sleep(600)
        time.sleep(0.02)
        return TrialOutcome(float(values["lr"]))

    with shared_study(StudyAddress(url, "two"), name, grace=8) as study:
        for _ in search(space, evaluate, study=study, n_trials=trials, start=10, again=0.0):
            pass

def started(name):
    child = os.fork()
    if child == 0:
        drive(name)
        os._exit(0)
    return child

first, second = started("first"), started("second")
while not (folder / "in-training").exists():
    time.sleep(0.01)
os.kill(first, signal.SIGKILL)
os.waitpid(first, 0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
"""


class Server:
    """A PostgreSQL server in a folder of its own, without a port."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._run("initdb", "-D", str(folder / "data"), "-U", "steerage", "--auth=trust", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql://steerage:never-shown@/postgres?host={self._folder}"

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def _run(self, program: str, *words: str) -> None:
        # PostgreSQL refuses to be run by root.
        other = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*other, str(self._programs / program), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'steerage-nn[postgresql]'")
    found = shutil.which("initdb") or next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))), None)
    if found is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.getuid() == 0:
        try:
            shutil.chown(folder, "postgres")
        except LookupError:
            pytest.skip("PostgreSQL is not run by root, and there is no user postgres")
    server = Server(Path(found).resolve().parent, folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def train(number: int, values: Values) -> TrialOutcome:
    return TrialOutcome(float(values["lr"]))


def address(folder: Path, **about: object) -> StudyAddress:
    return StudyAddress(f"sqlite:///{folder}/shared.db", "one", about)


def test_a_driver_that_is_killed_leaves_its_trial_to_the_other_and_none_is_trained_twice(
    server: Server, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVERS, server.url, str(tmp_path), str(TRIALS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 0, done.stderr
    trained = [line.split() for line in (tmp_path / "trained").read_text().splitlines()]
    killed = [number for name, number, *_ in trained if name == "first"][-1]
    by_number: dict[str, list[tuple[str, str, str]]] = {}
    for name, number, lr, kind in trained:
        by_number.setdefault(number, []).append((name, lr, kind))
    assert sorted(map(int, by_number)) == list(range(TRIALS))
    assert {number for number, who in by_number.items() if len(who) > 1} == {killed}
    assert [name for name, *_ in by_number[killed]] == ["first", "second"]
    assert len({point for who in by_number.values() for _, *one in who for point in [tuple(one)]}) == TRIALS
    with shared_study(StudyAddress(server.url, "two"), "reader") as study:
        assert sorted(one.number for one in ranking(study)) == list(range(TRIALS))
        assert not study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))


def test_a_search_waits_for_its_storage_and_goes_on(server: Server) -> None:
    said: list[object] = []

    def late() -> None:
        while not said:
            time.sleep(0.01)
        server.start()

    helper = threading.Thread(target=late)

    def evaluate(number: int, values: Values) -> TrialOutcome:
        if number == 3:
            server.stop()
            helper.start()
        return train(number, values)

    with shared_study(StudyAddress(server.url, "away"), "only", say=said.append) as study:
        told = list(search(SPACE, evaluate, study=study, n_trials=6, again=0.0))
        assert [one.number for one in ranking(study)] != []
    helper.join()
    assert [type(one) for one in said] == [StorageAway, StorageBack]
    assert "never-shown" not in str(said)
    assert [one.number for one in told if isinstance(one, TrialFinished)] == list(range(6))


def test_a_driver_that_was_silent_too_long_gives_its_trial_up(tmp_path: Path) -> None:
    options = {"n_trials": 4, "start": 4, "again": 0.0}
    with (
        shared_study(address(tmp_path), "slow", grace=1) as slow,
        shared_study(address(tmp_path), "fast", grace=1) as fast,
    ):
        told = search(SPACE, train, study=slow, **options)
        begun = next(told)
        assert isinstance(begun, TrialStarted) and begun.number == 0
        mirror = mirror_of(slow)
        assert mirror is not None and mirror.sharing is not None
        mirror.sharing.release(slow.trials[0]._trial_id)  # its heartbeats end
        by_others = list(search(SPACE, train, study=fast, **options))
        assert [one.number for one in by_others if isinstance(one, TrialLost)] == [0]
        assert sorted(one.number for one in by_others if isinstance(one, TrialFinished)) == [0, 1, 2, 3]
        rest = list(told)
        assert [one.number for one in rest if isinstance(one, TrialLost)] == [0]
        assert not [one for one in rest if isinstance(one, TrialFinished)]


def test_a_driver_that_begins_again_goes_on_with_its_own_trial_at_once(tmp_path: Path) -> None:
    options = {"n_trials": 3, "start": 4, "again": 0.0}
    with shared_study(address(tmp_path), "mine") as study:
        begun = next(search(SPACE, train, study=study, **options))
    assert isinstance(begun, TrialStarted)
    with shared_study(address(tmp_path), "mine") as study:
        started = [one for one in search(SPACE, train, study=study, **options) if isinstance(one, TrialStarted)]
    assert started[0] == begun
    assert [one.number for one in started] == [0, 1, 2]


def test_a_study_about_something_else_is_refused_with_the_differences_named(tmp_path: Path) -> None:
    with shared_study(address(tmp_path, template="mlp", seed=0), "one"):
        pass
    with shared_study(address(tmp_path, template="mlp", seed=0), "two"):
        pass
    with (
        pytest.raises(RunConflict, match=r"study one belongs to another search .template was mlp and is cnn"),
        shared_study(address(tmp_path, template="cnn", seed=0), "three"),
    ):
        pass


def test_a_copy_has_all_trials_and_needs_no_database(tmp_path: Path) -> None:
    with shared_study(address(tmp_path), "one") as study:
        list(search(SPACE, train, study=study, n_trials=5, again=0.0))
        found = ranking(study)
        keep_copy(study, tmp_path / "study.db")
        keep_copy(study, tmp_path / "study.db")
    with study_file(tmp_path / "study.db") as copy:
        assert json.dumps([one.values for one in ranking(copy)]) == json.dumps([one.values for one in found])


def test_a_storage_that_cannot_be_used_is_refused_in_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BadArgument, match="storage must be a URL"):
        StudyAddress("study.db", "one")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with (
        pytest.raises(MissingDependency, match=r"steerage-nn\[postgresql\]") as refusal,
        shared_study(StudyAddress("postgresql://ann:xyz@nowhere/db", "one"), "me"),
    ):
        pass
    assert "xyz" not in str(refusal.value) and "\n" not in str(refusal.value)
    assert issubclass(MissingDependency, SteerageError)
