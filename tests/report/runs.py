"""Run directories written by hand, as large as the longest runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

TRIALS = 500


def large_run(folder: Path) -> Path:
    """A finished run of 500 candidates, of which nothing was ever trained, for a network of many layers."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    events: list[dict[str, Any]] = []
    best, best_number = math.inf, 0
    for number in range(TRIALS):
        params = int(1500 * rng.uniform(0.1, 1.0) ** 0.7) if rng.random() < 0.8 else int(rng.integers(60, 300))
        error = min(
            0.9, 0.015 + 0.9 / params**0.6 + rng.exponential(0.02) + (rng.random() < 0.04) * rng.uniform(0, 0.8)
        )
        error = round(error * 300) / 300
        if error < best:
            best, best_number = error, number
        values = {
            "depth": int(rng.integers(1, 5)), "lr": float(10 ** rng.uniform(-4, -2)), "activation": "relu",
            "width_0": int(rng.integers(4, 256)), "width_1": int(rng.integers(4, 256)), "reduce": "pca",
            "sparsity": float(rng.random()), "augment": float(rng.random()), "skip": "any", "norm": "batch",
        }  # fmt: skip
        events.append({
            "event": "TrialFinished", "number": number, "values": values, "error": error + 0.002, "best_error": best,
            "best_number": best_number, "seconds": 2.0,
            "metrics": {"error": error, "params": params, "macs": params * 10, "loss": 0.1},
        })  # fmt: skip
        if number >= 9 and (number - 9) % 4 == 0:
            events.append(_round((number - 9) // 4, number + 1, best_number, best, rng))
    events += [
        {
            "event": "NetworkEdited", "name": "refit", "progress": at / 60, "before": 30_000 // (at + 1),
            "after": 30_000 // (at + 2), "grown": 12, "units_before": 200 - at, "units_after": 199 - at, "error": 0.03,
        }
        for at in range(60)
    ]  # fmt: skip
    summary = _network(0.021, 1480) | {
        "task": "classification", "baseline": _network(0.027, 24_000), "after_search": _network(0.024, 1490),
        "budget": {"max_params": 1500}, "trials": TRIALS, "seconds": {"search": 1000.0, "total": 3600.0},
    }  # fmt: skip
    asked = {
        "data": "digits", "task": "classification", "budget": {"max_params": 1500}, "trials": TRIALS, "epochs": 200,
        "seed": 0, "command": ["steerage", "synth", "digits", "--max-params", "1500", "--trials", "500"],
    }  # fmt: skip
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    for name, document in (("run", asked), ("summary", summary)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


def _network(error: float, params: int) -> dict[str, Any]:
    return {
        "error": {"validation": error + 0.004, "test": error}, "params": params, "dense_params": params * 4,
        "macs": params * 9, "flash_bytes": params * 5, "ram_bytes": 900,
    }  # fmt: skip


def _round(index: int, trials: int, best_number: int, best: float, rng: np.random.Generator) -> dict[str, Any]:
    quality = 1.0 - math.exp(-(index + 2) / 15)
    places = np.linspace(0.5 / trials, 1 - 0.5 / trials, min(40, trials))
    spread = 0.08 + 0.5 * (1 - quality)
    expected = np.clip(0.5 + quality * (places - 0.5) + rng.normal(0, spread / 1.3, len(places)), 0, 1)
    low, high = np.clip(expected - spread, 0, 1), np.clip(expected + spread, 0, 1)
    held_out = np.stack([places, expected, low, high], axis=1).round(4).tolist()
    return {
        "event": "RoundFinished", "round": index, "trials": trials, "tau": 0.8 * quality, "spearman": 0.9 * quality,
        "rmse": 1 - 0.6 * quality, "best_error": best, "coverage": float(np.clip(rng.normal(0.8, 0.04), 0, 1)),
        "gain": 0.01 / (index + 1), "best_number": best_number, "held_out": held_out,
    }  # fmt: skip
