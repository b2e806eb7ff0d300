"""What faults do to runs: each kind at random moments, and what is lost by it.

    python benchmarks/faults.py [driver worker sigterm truncated flipped full readonly lock clock nan unbuildable]

Goes on where it stopped: each run is kept when it has ended. A run is a `steerage synth` of iris (four trials, counted
epochs, at most 120 parameters) of some seconds, in a process of its own; torch is imported before, so that moments are
uniform over the processor time that the undisturbed run takes, and none falls into the imports. Trainings save
themselves after each epoch, and not every ten seconds. After each fault the same command is given again, until it ends
with 0.

- driver: SIGKILL of the process, up to five times a run; `sigterm`: SIGTERM, and how long the process then takes.
- worker: SIGKILL of one of two workers (`--jobs 2`), no more than once for a trial: the second time it has failed.
- truncated, flipped: SIGKILL, and then one of the files of trainings (checkpoints, their spares, finished trainings) is
  cut off anywhere, or has a bit flipped anywhere.
- full: the run's folder is on a disk of its own (tmpfs) that is filled up at the moment; the command has to end with 2
  and one line. Then there is space again. `readonly`: SIGKILL, and the disk is read-only when the command comes again.
  Both need root.
- lock: the same command a second time while the first is at work; it has to end with 2 and the first one's number.
- clock: the system's time jumps by up to ten years to and fro (as this process sees it) at every look.
- nan, unbuildable: a template of one's own whose networks give NaN, or raise when they are built to be trained, for
  half of the candidates, which must have failed by name, and no other. What raises when its cost is asked for is not
  tried at all.

A run is lost if its command ends with another code than 0 at last; a finished trial is lost if it was in the study at
the moment of a fault and is not there in the end with the same error, or began again; a result is wrong if the trials
with their errors, or the weights delivered, are not those of the undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightgbm  # noqa: F401
import torch
from common import Measured, row, write

from steerage.cli import signals
from steerage.cli.guard import run
from steerage.search.ranking import ranking
from steerage.search.run import open_study
from steerage.synthesis import candidate
from steerage.training import fit

COMMAND = ["synth", "iris", "--max-params", "120", "--trials", "4", "--epochs", "5", "--quiet", "--out"]
MOMENTS = {
    **{"driver": 50, "worker": 50, "sigterm": 50, "truncated": 50, "flipped": 50},
    **{"full": 20, "readonly": 10, "lock": 20, "clock": 10, "nan": 4, "unbuildable": 4},
}
PER_RUN, PATIENCE = 5, 600.0  # faults of a run; seconds for a command to end

TEMPLATE = """
import torch
from torch import nn
from steerage import Space, Template
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from steerage.templates.recipe_genes import plain_recipe, recipe_genes


class Odd(nn.Module):
    def __init__(self, inputs, width, outputs, broken):
        super().__init__()
        self.hidden, self.output = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.broken = broken

    def forward(self, x):
        y = self.output(self.hidden(x).relu())
        return y * float("nan") if self.broken else y


class Own(Template):
    name = "own"

    def space(self, spec):
        return Space({**recipe_genes(spec), "width": IntDistribution(4, 11)})

    def baseline(self, spec):
        return self.space(spec).normalize({**plain_recipe(spec), "width": 8})

    def build(self, values, spec):
        odd = values["width"] % 2 == 1
        net = Odd(spec.input_shape[0], values["width"], spec.outputs, odd and KIND == "nan")
        if odd and KIND == "unbuildable" and not net.hidden.weight.is_meta:
            raise RuntimeError("odd widths cannot be built")
        return net
"""


class Attempt:
    """One call of the command in a process of its own."""

    def __init__(self, command: list[str], folder: Path, prepare: Callable[[], None] | None = None) -> None:
        # Not on the disk of the run, which may be full.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the attempt
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.dup2(self._said.fileno(), 2)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                signals.install()
                if prepare is not None:
                    prepare()
                code = run([*command, str(folder)], started=time.monotonic())
            finally:  # whatever is raised, this process does nothing of what the other is there for
                os._exit(code)

    def ended(self) -> int | None:
        """The exit code, if there is one."""
        done, status, used = os.wait4(self.pid, os.WNOHANG)
        self.seconds = used.ru_utime + used.ru_stime
        return os.waitstatus_to_exitcode(status) if done else None

    def work(self, seconds: float) -> int | None:
        """Let it work for so many seconds of the processor; the exit code, if it ends within them."""
        while (code := self.ended()) is None and self._used() < seconds:
            time.sleep(0.002)
        return code

    def _used(self) -> float:
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return math.inf

    def wait(self, seconds: float) -> int | None:
        """The exit code, if there is one within so many seconds."""
        until = time.monotonic() + seconds
        while (code := self.ended()) is None and time.monotonic() < until:
            time.sleep(0.002)
        return code

    def kill(self, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def lines(self) -> list[str]:
        """What it has said, warnings apart."""
        self._said.seek(0)
        said = self._said.read().decode()
        return [line for line in said.splitlines() if not line.startswith("warning: ")]


def trials(folder: Path) -> dict[int, float]:
    """Errors of the trials in the study that have ended, by number."""
    if not (folder / "study.db").is_file():
        return {}
    study = open_study(f"sqlite:///{folder / 'study.db'}")
    found = {one.number: one.error for one in ranking(study)}
    study._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    return found


def begun(folder: Path) -> list[int]:
    """Numbers of the trials that began, in order, as often as they did."""
    log = folder / "events.jsonl"
    numbers = []
    for line in log.read_text().splitlines() if log.is_file() else []:
        with suppress(ValueError):
            event = json.loads(line)
            if event.get("event") == "TrialStarted":
                numbers.append(event["number"])
    return numbers


def logged(folder: Path, kind: str) -> int:
    log = folder / "events.jsonl"
    return log.read_text().count(f'"event": "{kind}"') if log.is_file() else 0


class Subject:
    """A run that faults are done to, and what it must come to."""

    def __init__(self, folder: Path, straight: dict[str, Any], command: list[str]) -> None:
        self.folder, self.straight, self.command = folder, straight, command
        self.known: dict[int, float] = {}
        self.begun = 0
        self.again = 0

    def attempt(self, prepare: Callable[[], None] | None = None) -> Attempt:
        return Attempt(self.command, self.folder, prepare)

    def look(self) -> None:
        """Take in what is finished, after a fault."""
        numbers = begun(self.folder)
        self.again += sum(number in self.known for number in numbers[self.begun :])
        self.begun = len(numbers)
        self.known |= trials(self.folder)

    def outcome(self, code: int | None) -> dict[str, int]:
        """What became of it."""
        if code != 0:
            return {"lost_runs": 1, "lost_trials": 0, "wrong": 0}
        known = dict(self.known)
        self.look()
        final = trials(self.folder)
        lost = sum(final.get(number) != error for number, error in known.items()) + self.again
        weights = (self.folder / "network" / "weights.safetensors").read_bytes().hex()
        same = weights == self.straight["weights"] and final == self.straight["trials"]
        return {"lost_runs": 0, "lost_trials": lost, "wrong": int(not same)}


def undisturbed(root: Path, command: list[str]) -> dict[str, Any]:
    folder = root / "straight"
    attempt = Attempt(command, folder)
    assert attempt.wait(PATIENCE) == 0, attempt.lines()
    weights = (folder / "network" / "weights.safetensors").read_bytes().hex()
    return {"weights": weights, "trials": trials(folder), "seconds": attempt.seconds}


def killed(
    subject: Subject, rng: random.Random, faults: int, after: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """SIGKILL at up to ``faults`` moments; ``after`` each of them."""
    moments = 0
    for _ in range(faults):
        attempt = subject.attempt()
        code = attempt.work(rng.random() * subject.straight["seconds"])
        if code is not None:
            return {"moments": moments, **subject.outcome(code)}
        attempt.kill()
        attempt.wait(PATIENCE)
        moments += 1
        subject.look()
        after()
    return {"moments": moments, **subject.outcome(subject.attempt().wait(PATIENCE))}


def driver(subject: Subject, rng: random.Random) -> dict[str, Any]:
    return killed(subject, rng, PER_RUN)


def sigterm(subject: Subject, rng: random.Random) -> dict[str, Any]:
    moments, took, lost = 0, [], 0
    for _ in range(PER_RUN):
        attempt = subject.attempt()
        code = attempt.work(rng.random() * subject.straight["seconds"])
        if code is not None:
            break
        asked = time.monotonic()
        attempt.kill(signal.SIGTERM)
        code = attempt.wait(PATIENCE)
        took.append(time.monotonic() - asked)
        moments += 1
        subject.look()
        lost += code not in (143, 0)
    outcome = subject.outcome(subject.attempt().wait(PATIENCE))
    return {"moments": moments, **outcome, "lost_runs": outcome["lost_runs"] + lost, "seconds": took}


def damaged(subject: Subject, rng: random.Random, damage: Callable[[bytes, random.Random], bytes]) -> dict[str, Any]:
    hit = 0

    def after() -> None:
        nonlocal hit
        files = [*(subject.folder / "candidates").glob("*"), *(subject.folder / "local").glob("*")]
        files = sorted(path for path in files if path.suffix in (".state", ".prev", ".done") and path.stat().st_size)
        if files:
            path = rng.choice(files)
            path.write_bytes(damage(path.read_bytes(), rng))
            hit += 1

    return {**killed(subject, rng, PER_RUN, after), "moments": hit}


def truncated(subject: Subject, rng: random.Random) -> dict[str, Any]:
    return damaged(subject, rng, lambda data, rng: data[: rng.randrange(len(data))])


def flipped(subject: Subject, rng: random.Random) -> dict[str, Any]:
    def flip(data: bytes, rng: random.Random) -> bytes:
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(changed)

    return damaged(subject, rng, flip)


def worker(subject: Subject, rng: random.Random) -> dict[str, Any]:
    """SIGKILL of workers; between two of them as many trials end as could have been hit."""
    attempt, moments = subject.attempt(), 0
    ended = 0
    while attempt.ended() is None and time.monotonic() - attempt.began < PATIENCE:
        if moments < PER_RUN and logged(subject.folder, "TrialStarted") > ended and _workers(attempt.pid):
            time.sleep(rng.random() * 0.5)
            victims = _workers(attempt.pid)
            if victims and logged(subject.folder, "TrialFinished") < len(subject.straight["trials"]):
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(victims), signal.SIGKILL)
                    moments += 1
                ended = logged(subject.folder, "TrialStarted") + 1
        time.sleep(0.01)
    with suppress(ChildProcessError):
        attempt.wait(0)
    code = 0 if (subject.folder / "summary.json").is_file() else None
    return {"moments": moments, **subject.outcome(code)}


def _workers(pid: int) -> list[int]:
    """Processes of workers under the driver ``pid``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == pid and "spawn_main" in path.with_name("cmdline").read_text():
                found.append(int(path.parent.name))
    return found


def full(subject: Subject, rng: random.Random) -> dict[str, Any]:
    filler = subject.folder.parent / "filler"
    moments = named = 0
    for _ in range(PER_RUN):
        attempt = subject.attempt()
        code = attempt.work(rng.random() * subject.straight["seconds"])
        if code is not None:
            break
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        code = attempt.wait(PATIENCE)
        lines = attempt.lines()
        filler.unlink()
        if code == 0:
            break
        moments += 1
        named += code == 2 and len(lines) == 1
        subject.look()
    outcome = subject.outcome(subject.attempt().wait(PATIENCE))
    return {"moments": moments, **outcome, "unnamed": moments - named}


def readonly(subject: Subject, rng: random.Random) -> dict[str, Any]:
    disk, named = subject.folder.parent, []

    def after() -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        attempt = Attempt(subject.command, subject.folder)
        named.append(attempt.wait(PATIENCE) == 2 and len(attempt.lines()) == 1)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)

    outcome = killed(subject, rng, 2, after)
    return {**outcome, "unnamed": len(named) - sum(named)}


def lock(subject: Subject, rng: random.Random) -> dict[str, Any]:
    attempt = subject.attempt()
    code = attempt.work(rng.random() * subject.straight["seconds"])
    if code is not None or not (subject.folder / ".lock").is_file():
        return {"moments": 0, **subject.outcome(attempt.wait(PATIENCE) if code is None else code)}
    other = Attempt(subject.command, subject.folder)
    second, still = other.wait(PATIENCE), attempt.ended()
    named = second == 2 and any(f"process {attempt.pid};" in line for line in other.lines())
    outcome = subject.outcome(attempt.wait(PATIENCE) if still is None else still)
    late = second == 0 and still is not None  # the first had ended
    return {"moments": int(not late), **outcome, "unnamed": int(not late and not named)}


def clock(subject: Subject, rng: random.Random) -> dict[str, Any]:
    def prepare() -> None:
        real, jumps = time.time, random.Random(rng.random())
        time.time = lambda: real() + jumps.uniform(-3e8, 3e8)

    return {"moments": 1, **subject.outcome(subject.attempt(prepare).wait(PATIENCE))}


def odd_candidates(subject: Subject, rng: random.Random) -> dict[str, Any]:
    """Candidates of odd width fail, and say why."""
    code = subject.attempt().wait(PATIENCE)
    outcome = {"lost_runs": int(code != 0), "lost_trials": 0, "wrong": 0}
    failed, finished = set(), set()
    for line in (subject.folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "TrialFailed":
            failed.add(event["number"])
        elif event["event"] == "TrialFinished":
            finished.add(event["number"])
            outcome["wrong"] += event["values"]["width"] % 2
    outcome["lost_trials"] = len(set(begun(subject.folder)) - failed - finished)
    return {"moments": len(failed), **outcome}


KINDS: dict[str, Callable[[Subject, random.Random], dict[str, Any]]] = {
    **{"driver": driver, "worker": worker, "sigterm": sigterm, "truncated": truncated, "flipped": flipped},
    **{"full": full, "readonly": readonly, "lock": lock, "clock": clock},
    **{"nan": odd_candidates, "unbuildable": odd_candidates},
}


def measure(kind: str, kept: Measured) -> None:
    """Do runs of ``kind`` until it has had its number of moments."""
    done: dict[str, Any] = kept.get(kind, any_source=True) or {"runs": []}
    if sum(one["moments"] for one in done["runs"]) >= MOMENTS[kind]:
        return
    command, ahead = [*COMMAND], ["--ahead", "2"] if kind == "worker" else []
    with tempfile.TemporaryDirectory(prefix="steerage-faults-") as folder:
        root = Path(folder)
        if kind in ("nan", "unbuildable"):
            (root / "own.py").write_text(f"KIND = {kind!r}\n{TEMPLATE}")
            command[2:2] = ["--template", f"{root / 'own.py'}:Own"]
            straight: dict[str, Any] = {}
        else:
            straight = undisturbed(root, [*command[:-1], *ahead, "--out"])
        if kind == "worker":
            command[-1:] = [*ahead, "--jobs", "2", "--out"]
        disk = root / "disk"
        disk.mkdir()
        if kind in ("full", "readonly"):
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
        try:
            while sum(one["moments"] for one in done["runs"]) < MOMENTS[kind]:
                number = len(done["runs"])
                where = disk / f"run{number}"
                given = [*command[:-1], "--seed", str(number), "--out"] if not straight else command
                subject = Subject(where, straight, given)
                done["runs"].append(KINDS[kind](subject, random.Random(f"{kind} {number}")))
                kept.put(kind, done)
                shutil.rmtree(where, ignore_errors=True)
                print(kind, number, done["runs"][-1], flush=True)
        finally:
            if kind in ("full", "readonly"):
                subprocess.run(["umount", "--lazy", str(disk)], check=True)


def results(kept: Measured) -> list[dict[str, Any]]:
    rows = []
    for kind in KINDS:
        found = kept.get(kind, any_source=True)
        if found is None:
            continue
        runs = found["runs"]
        rows.append(
            row(
                f"{kind}: moments",
                [sum(one["moments"] for one in runs)],
                unit="faults",
                bar=float(MOMENTS[kind]),
                at_least=True,
            )
        )
        for name, title in (
            ("lost_runs", "runs lost"),
            ("lost_trials", "finished trials lost"),
            ("wrong", "wrong results"),
            ("unnamed", "faults without an error that names them"),
        ):
            if any(name in one for one in runs):
                rows.append(row(f"{kind}: {title}", [sum(one.get(name, 0) for one in runs)], unit="", bar=0.0))
        took = [seconds for one in runs for seconds in one.get("seconds", [])]
        if took:
            rows.append(row(f"{kind}: longest time to the end", [max(took)], unit="s", bar=5.0))
            rows.append(row(f"{kind}: median time to the end", [statistics.median(took)], unit="s", bar=None))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], default=[])
    kinds = parser.parse_args().kinds or [*KINDS]
    torch.set_num_threads(1)
    candidate.SAVE_EVERY_SECONDS = 0.0
    fit.TICK_SECONDS = -1.0
    kept, began = Measured("faults"), time.monotonic()
    for kind in kinds:
        measure(kind, kept)
    write("faults", results(kept), command="python benchmarks/faults.py", seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
