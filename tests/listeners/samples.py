"""What a small run tells, made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steerage import events

SETTINGS: dict[str, Any] = {
    "kind": "synth",
    "data": "digits",
    "task": "classification",
    "seed": 0,
    "trials": 2,
    "budget": {"max_params": 1500, "max_macs": None},
}
SUMMARY: dict[str, Any] = {
    "task": "classification",
    "metric": "error",
    "error": {"validation": 0.02, "test": 0.03},
    "params": 1480,
    "flash_bytes": None,
}


def run(folder: Path, *, earlier: tuple[dict[str, Any], ...] = ()) -> list[object]:
    """The events of a run from its first to its last."""
    values: dict[str, int | float | str | bool] = {"width": 8, "gate": True}
    title = "digits: 1,437 training rows, 10 classes; at most 1,500 parameters"
    return [
        events.RunStarted(folder, title, SETTINGS, seconds=120.0, used=8.0, target_std=1.0, earlier=earlier),
        events.PhaseStarted("search", 60.0),
        events.Training("trial 0", 0.5, 0.4),
        events.TrialFinished(0, values, 0.11, 0.11, 2.0, {"error": 0.1, "params": 1400}),
        events.RoundFinished(1, 1, 0.5, None, 0.7, 0.11),
        events.PhaseStarted("refit", 110.0),
        events.Training("refit", 0.25, 0.3),
        events.NetworkEdited("refit", 0.25, 200, 100, 3, 16, 12, 0.05),
        events.NetworkTrained("refit", 0.02, 0.1, 1480, 1600, 1500),
        events.RunFinished(folder, SUMMARY),
    ]
