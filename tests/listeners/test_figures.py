"""The points that events add to curves."""

from __future__ import annotations

from pathlib import Path

from listeners.samples import run
from steerage.listeners.figures import Figure, figures


def test_events_become_points_with_names_and_steps() -> None:
    points = [point for event in run(Path("x")) for point in figures(event)]
    assert points == [
        Figure("search/objective", 0.11, 0),
        Figure("search/best", 0.11, 0),
        Figure("search/error", 0.1, 0),
        Figure("search/params", 1400, 0),
        Figure("predictor/tau", 0.5, 1),
        Figure("predictor/rmse", 0.7, 1),
        Figure("refit/loss", 0.3, 250),
        Figure("refit/connections", 100, 250),
        Figure("refit/units", 12, 250),
        Figure("refit/error", 0.05, 250),
        Figure("refit/error", 0.02, 1000),
        Figure("refit/params", 1480, 1000),
        Figure("delivered/params", 1480, 0),
        Figure("delivered/error/validation", 0.02, 0),
        Figure("delivered/error/test", 0.03, 0),
    ]
