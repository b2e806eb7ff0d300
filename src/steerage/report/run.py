"""What a run directory tells, read leniently: an unfinished run has a page too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from steerage.errors import BadBundle
from steerage.store import read_json

Fields: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Run:
    """``asked``: run.json. ``summary``, ``analysis``: the files of that name, empty before the end.

    ``events``: one dict per line, in order.
    """

    folder: Path
    asked: Fields = field(default_factory=dict)
    summary: Fields = field(default_factory=dict)
    analysis: Fields = field(default_factory=dict)
    events: Sequence[Fields] = ()

    @property
    def budget(self) -> dict[str, float]:
        """Upper bounds by name."""
        bounds = self.summary.get("budget") or self.asked.get("budget")
        if not isinstance(bounds, Mapping):
            return {}
        return {str(name): limit for name, value in bounds.items() if (limit := number(value)) is not None}

    @property
    def metric(self) -> str:
        """What the error of a trial is: a share of rows, or in regression a number of another kind."""
        task = self.summary.get("task") or self.asked.get("task")
        return "loss" if task == "regression" else "error"

    @property
    def pareto(self) -> str | None:
        """The cost, params or macs, whose front with the error was asked for."""
        cost = self.asked.get("pareto")
        return cost if isinstance(cost, str) and cost in ("params", "macs") else None

    @property
    def front(self) -> list[Fields]:
        """The networks of the front, by rising cost."""
        members = self.summary.get("front")
        return [one for one in members if isinstance(one, Mapping)] if isinstance(members, list) else []

    def named(self, kind: str) -> list[Fields]:
        """Events of one kind, by the name of its class in ``steerage.events``."""
        return [event for event in self.events if event.get("event") == kind]


def read_run(folder: str | Path) -> Run:
    """The run in ``folder``. Raises: BadBundle when it holds neither run.json nor summary.json, or damaged ones."""
    folder = Path(folder)
    asked, summary, analysis = (_optional(folder / f"{name}.json") for name in ("run", "summary", "analysis"))
    if not asked and not summary:
        raise BadBundle(f"{folder} is not a run: it has no run.json; give the folder that steerage synth wrote")
    return Run(folder, asked, summary, analysis if summary else {}, _lines(folder / "events.jsonl"))


def _optional(path: Path) -> Fields:
    document = read_json(path) if path.exists() else {}
    return document if isinstance(document, dict) else {}


def _lines(path: Path) -> list[Fields]:
    if not path.exists():
        return []
    events: list[Fields] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a process that was killed may leave half a line
        if isinstance(event, dict):
            events.append(event)
    return events


def number(value: object) -> float | None:
    """``value`` as a finite float, if it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def listed(value: object) -> Sequence[object]:
    """``value`` if it is a list; nothing otherwise."""
    return value if isinstance(value, list) else ()


def at(fields: object, *path: str) -> object:
    """What lies under the names of ``path``, one inside the other; None where one is missing."""
    for name in path:
        fields = fields.get(name) if isinstance(fields, Mapping) else None
    return fields


def params_of(event: Fields, cost: str = "params") -> float | None:
    """Parameters, or another ``cost``, that an event tells of, in whichever place it has them."""
    places = ((cost,), ("cost", cost), ("metrics", cost))
    return next((value for place in places if (value := number(at(event, *place))) is not None), None)


def error_of(event: Fields) -> float | None:
    """Validation error that an event tells of."""
    places = (("metrics", "error"), ("error",), ("error", "validation"), ("validation_error",))
    return next((value for place in places if (value := number(at(event, *place))) is not None), None)


def first(fields: Fields, *names: str) -> object:
    """The first of these fields that is there."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)
