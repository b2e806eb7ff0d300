"""The folder of a run: what was asked, what is done, and how it goes on after a stop."""

from __future__ import annotations

import json
import platform
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from steerage import store
from steerage._version import __version__
from steerage.data.raw import listed
from steerage.errors import BadBundle, RunConflict
from steerage.events import PhaseStarted
from steerage.synthesis.clock import RunClock

VERSION = 1  # of run.json and summary.json
MOST_DIFFERENCES = 50  # characters of what tells a run from another one


class RunDirectory:
    """Paths and small files of one run, held under a lock while a process works on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.request = path / "run.json"
        self.study = path / "study.db"
        self.events = path / "events.jsonl"
        self.candidates = path / "candidates"
        self.local = path / "local"
        self.network = path / "network"
        self.summary = path / "summary.json"
        self.analysis = path / "analysis.json"
        self.report = path / "report.html"
        self.ranking = path / "ranking.csv"
        self.front = path / "front"
        self.front_table = path / "front.csv"
        self._clock_file = path / "clock.json"

    @contextmanager
    def opened(self, asked: Mapping[str, Any], *, command: str = "") -> Iterator[None]:
        """Hold the folder for a run of the settings ``asked``; a new folder is made, one of the same run continued.

        A search may come back with a larger effort: it is not finished any more then, and goes on from its trials.
        Raises: RunConflict if another process holds it, or it belongs to other settings (the differences are named).
        """
        self._refuse_foreign()
        with store.RunLock(self.path):
            store.remove_drafts(self.path)
            self._check_request(asked, command)
            for folder in (self.candidates, self.local):
                store.make_folder(folder)
            yield

    def finished(self) -> bool:
        return self.summary.is_file() and (self.network / "network.json").is_file()

    def ahead(self) -> int | None:
        """How many trials at a time the run that is here has under way; None if there is none, or it never said."""
        kept = (self._asked() or {}).get("ahead")
        return kept if isinstance(kept, int) else None

    def straightened(self) -> bool | None:
        """Whether the run that is here has its images straightened; None if there is none."""
        asked = self._asked()
        return None if asked is None else bool(asked.get("straighten"))

    def _asked(self) -> Mapping[str, Any] | None:
        """What was asked of the run that is here; None if there is none, or it cannot be read."""
        try:
            asked: Mapping[str, Any] = store.read_json(self.request)
        except BadBundle:
            return None
        return asked

    def clock(self, started: float | None) -> RunClock:
        """Clock that goes on where the last heartbeat left it; ``started``: monotonic second of this process."""
        try:
            saved = store.read_json(self._clock_file)
            return RunClock(before=float(saved["active"]), training_before=float(saved["training"]), started=started)
        except (BadBundle, KeyError, TypeError, ValueError):
            return RunClock(started=started)

    def driver(self) -> str:
        """A name that no other folder has, for whoever shares a study with others."""
        path = self.path / ".driver"
        if not path.is_file():
            store.write_atomic(path, secrets.token_hex(8))
        return path.read_text(encoding="utf-8")

    def heartbeat(self, clock: RunClock) -> None:
        """Write down the clock. Cheap: a lost heartbeat costs a second of bookkeeping, so nothing is forced to disk."""
        temporary = self._clock_file.with_suffix(".tmp")
        try:
            temporary.write_text(json.dumps({"active": clock(), "training": clock.training}))
            temporary.replace(self._clock_file)
        except OSError:
            pass  # a full disk is reported by whatever matters more

    def log(self, event: object, at: float) -> None:
        """Append ``event`` (a frozen dataclass) to events.jsonl."""
        assert is_dataclass(event) and not isinstance(event, type)
        line = json.dumps(store.plain({"event": type(event).__name__, "at": round(at, 3), **asdict(event)}))
        store.append_line(self.events, line)

    def logged(self) -> list[dict[str, Any]]:
        """Events so far; a line cut off by a stop is left out."""
        if not self.events.is_file():
            return []
        found = []
        for line in self.events.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [event for event in found if isinstance(event, dict)]

    def phases(self) -> list[tuple[float, str]]:
        """Phases that have begun, in order, each with the second of the run; again where a later process went on."""
        name = PhaseStarted.__name__
        return [(float(one["at"]), str(one["phase"])) for one in self.logged() if one.get("event") == name]

    def _refuse_foreign(self) -> None:
        if "?" in str(self.path.resolve()):  # where the address of the study's file would end
            raise RunConflict(f"{self.path} has a question mark in its path; choose another folder with --out")
        if self.path.exists() and not self.path.is_dir():
            raise RunConflict(f"{self.path} is a file; choose another folder with --out")
        if self.request.is_file():
            store.read_json(self.request)  # one that is damaged is refused before anything is written
        elif self.path.is_dir():
            strangers = [child.name for child in self.path.iterdir() if not child.name.startswith(".")]
            if strangers:
                raise RunConflict(f"{self.path} holds other files ({strangers[0]}); choose another folder with --out")

    def _reopen(self) -> None:
        """Set aside what followed from a smaller effort. What is kept is the best so far, should the new one stop.

        Whatever moment this is cut off at, either effort can be asked for next: with the earlier one only the
        promotion is done again.
        """
        self.summary.unlink(missing_ok=True)
        for path in self.candidates.glob("promoted-*"):
            path.replace(path.with_name(f"earlier-{path.name}"))

    def _check_request(self, asked: Mapping[str, Any], command: str) -> None:
        wanted = json.loads(json.dumps(store.plain(dict(asked))))
        if not self.request.is_file():
            about = {"version": VERSION, "command": command, "versions": versions(), "hardware": hardware()}
            store.write_json(self.request, {**wanted, **about})
            return
        earlier = store.read_json(self.request)
        # Settings that are there only where they are on are told from others by the fingerprint, but for this one.
        names = [name for name in dict.fromkeys((*wanted, "straighten")) if earlier.get(name) != wanted.get(name)]
        if names and wanted["kind"] == "search" and all(_grown(name, earlier, wanted) for name in names):
            self._reopen()
            store.write_json(self.request, {**earlier, **wanted, "command": command or earlier.get("command", "")})
        elif names:
            differences = listed((_difference(name, earlier, wanted) for name in names), 2, width=MOST_DIFFERENCES)
            raise RunConflict(f"{self.path} belongs to another run ({differences}); choose another folder with --out")


def _difference(name: str, earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if name == "fingerprint":
        return "the rows of the data are others"
    before, after = earlier.get(name), wanted.get(name)
    if name == "straighten":
        before, after = bool(before), bool(after)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return ", ".join(_difference(key, before, after) for key in after if before.get(key) != after[key])
    return f"{name} was {before} and is {after}"


def _grown(name: str, earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether setting ``name`` of a search allows more than before; None is no limit, but where minutes take turns."""
    before, after = earlier.get(name), wanted.get(name)
    if name not in ("minutes", "trials", "patience") or before is None:
        return False
    if after is None:
        return name == "patience" or (name == "trials" and wanted["minutes"] is not None)
    return bool(after > before)


def versions() -> dict[str, str]:
    """Versions of the program and of what its results depend on."""
    packages = ("torch", "numpy", "scikit-learn", "optuna", "lightgbm")
    return {
        "steerage": __version__,
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def hardware() -> dict[str, Any]:
    """The machine as far as figures depend on it."""
    return {
        "machine": platform.machine(),
        "system": sys.platform,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
