"""Power cuts: the process is killed, twenty times, and the same command is given again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steerage.bundle import load_network
from steerage.search.ranking import ranking
from steerage.search.run import open_study

KILLS, TRIALS, MAX_PARAMS = 20, 4, 400
RUNG_TRIALS = 12
COMMAND = ["synth", "digits", "--max-params", MAX_PARAMS, "--trials", TRIALS, "--epochs", 3, "--quiet", "--out"]
RUNGS_COMMAND = ["search", "digits", "--trials", RUNG_TRIALS, "--epochs", 20, "--quiet", "--out"]

# Every rung is trusted, and of two trials that rest the first goes on: what takes a long search to come about.
RUNGS = """
import steerage.search.run
from steerage.search import curves, fidelity
from steerage.synthesis import plan
plan.RUNGS_FROM = 0
fidelity.LEAST, fidelity.TRUST = 4, -2.0

def first_of_two(trials, *_, **__):
    resting = [one for one in trials if curves.is_stopped(one)]
    return resting[0] if len(resting) > 1 else None

steerage.search.run.leader = first_of_two
"""

# Imports take longer than the run, so they are done once and every attempt is a fork: a process of its own, that knows
# nothing of the ones before but their files. A run that ends before it was killed often enough is followed by another.
# Kills come at every line of the log in turn, a bit later, so that a slow machine comes as far as a fast one.
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import lightgbm, optuna, sklearn.model_selection, torch
import steerage.cli.runs, steerage.search.run, steerage.synthesis.main
from steerage.cli import signals
from steerage.cli.guard import run
torch.set_num_threads(1)
root, kills, command = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
rng = random.Random(0)

def attempt(folder, lines, delay):
    log = folder / "events.jsonl"
    told = lambda: log.read_bytes().count(b"\\n") if log.exists() else 0
    before = told()
    child = os.fork()
    if child == 0:
        signals.install()
        os._exit(run([*command, str(folder)], started=time.monotonic()))
    began = None
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if delay is not None and began is None and told() > before + lines:
            began = time.monotonic()
        if began is not None and time.monotonic() >= began + delay:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.001)

LINES = 8
codes, runs = [], 0
while codes.count(-signal.SIGKILL) < kills:
    codes.append(attempt(root / str(runs), len(codes) % LINES, rng.choice([0.02, 0.2, 1.0]) * rng.random()))
    runs += codes[-1] == 0
    if codes[-1] not in (0, -signal.SIGKILL):
        break
codes.append(attempt(root / str(runs), 0, None))
codes.append(attempt(root / "straight", 0, None))
json.dump({"codes": codes, "runs": runs + 1}, sys.stdout)
"""


def killed_again_and_again(root: Path, command: list[object], preparation: str = "", kills: int = KILLS) -> Path:
    if sys.platform == "win32":
        pytest.skip("there is no SIGKILL and no fork on Windows")
    source = Path(__file__).resolve().parents[2] / "src"
    words = json.dumps([str(word) for word in command])
    driver = f"import sys; sys.path.insert(0, {str(source)!r})\n{preparation}\n{DRIVER}"
    done = subprocess.run(
        [sys.executable, "-c", driver, str(root), str(kills), words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["codes"].count(-9) == kills, done.stderr
    assert set(outcome["codes"]) <= {0, -9}, done.stderr
    assert len([path for path in root.iterdir() if path.name != "straight"]) == outcome["runs"]
    return root


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the runs that were killed, ``0`` and on, and of the one that was not, ``straight``."""
    return killed_again_and_again(tmp_path_factory.mktemp("killed"), COMMAND)


def folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.name != "straight")


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    logged = []
    for line in (folder / "events.jsonl").read_text().splitlines():
        try:
            logged.append(json.loads(line))
        except ValueError:  # cut off by a kill
            continue
    return [event for event in logged if event["event"] == kind]


def test_the_network_of_a_run_that_was_killed_loads_and_is_inside_the_budget(killed: Path) -> None:
    for folder in folders(killed):
        network = load_network(folder / "network")
        summary = json.loads((folder / "summary.json").read_text())
        assert network.cost.params == summary["params"] <= MAX_PARAMS
        assert (folder / "report.html").is_file()


def test_no_trial_is_lost_and_none_that_was_finished_is_run_again(killed: Path) -> None:
    for folder in folders(killed):
        finished = [event["number"] for event in events(folder, "TrialFinished")]
        assert sorted(finished) == list(range(TRIALS))
        assert {event["number"] for event in events(folder, "TrialStarted")} == set(range(TRIALS))
        trials = ranking(open_study(f"sqlite:///{folder / 'study.db'}"))
        assert sorted(trial.number for trial in trials) == list(range(TRIALS))
        assert json.loads((folder / "summary.json").read_text())["trials"] == TRIALS


def test_kills_do_not_change_the_network(killed: Path) -> None:
    weights = Path("network") / "weights.safetensors"
    for folder in folders(killed):
        assert (folder / weights).read_bytes() == (killed / "straight" / weights).read_bytes()


def test_kills_do_not_change_a_search_whose_trials_rest_and_go_on(tmp_path: Path) -> None:
    root = killed_again_and_again(tmp_path, RUNGS_COMMAND, RUNGS, kills=12)
    straight = root / "straight"
    kinds = ("TrialStopped", "TrialFinished")
    resting, ended = ([event["number"] for event in events(straight, kind)] for kind in kinds)
    assert set(resting) & set(ended) and set(resting) | set(ended) == set(range(RUNG_TRIALS)), "nothing is tested"
    started = [len(events(folder, "TrialStarted")) for folder in (straight, *folders(root))]
    assert max(started) > started[0], "no kill came in a trial"
    for folder in folders(root):
        for kind, numbers in zip(kinds, (resting, ended), strict=True):
            assert sorted(event["number"] for event in events(folder, kind)) == sorted(numbers)
        assert (folder / "ranking.csv").read_bytes() == (straight / "ranking.csv").read_bytes()
        weights = Path("network") / "weights.safetensors"
        assert (folder / weights).read_bytes() == (straight / weights).read_bytes()
        assert json.loads((folder / "summary.json").read_text())["trials"] == RUNG_TRIALS


def test_kills_do_not_change_a_front(tmp_path: Path) -> None:
    command: list[object] = ["search", "iris", "--pareto", "params", "--trials", 8, "--epochs", 4, "--quiet", "--out"]
    killed_again_and_again(tmp_path, command, kills=8)
    straight = json.loads((tmp_path / "straight" / "summary.json").read_text())
    for folder in folders(tmp_path):
        assert json.loads((folder / "summary.json").read_text())["front"] == straight["front"]
        for member in straight["front"]:
            weights = Path(member["path"]) / "weights.safetensors"
            assert (folder / weights).read_bytes() == (tmp_path / "straight" / weights).read_bytes()
        assert len(list((folder / "front").iterdir())) == len(straight["front"])
