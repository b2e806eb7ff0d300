"""What the page tells of the rounds of a search, and of long runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from runs import TRIALS, large_run
from test_page import ASKED, EVENTS, SUMMARY, make_run, read

from steerage.report.figures import Axis, Point, scatter


def with_rounds(folder: Path, rounds: list[dict[str, Any]]) -> Path:
    told = [{**EVENTS[15], "round": at, "trials": 10 + 4 * at, **one} for at, one in enumerate(rounds)]
    return make_run(folder, asked=ASKED, summary=SUMMARY, events=[*EVENTS[:15], *told])


def test_predictions_are_drawn_with_their_intervals_and_misses_have_another_form(tmp_path: Path) -> None:
    held_out = [[0.1, 0.2, 0.05, 0.4], [0.5, 0.4, 0.3, 0.6], [0.9, 0.3, 0.1, 0.5]]
    text, checker = read(with_rounds(tmp_path / "run", [{"held_out": held_out}]))
    assert "after 10 trials: 1 of 3 outside their intervals" in text
    assert "true place 90 %, predicted 30 % (10 to 50 %)" in text
    html = (tmp_path / "run" / "report.html").read_text()
    assert html.count('class="span"') == 3
    assert html.count('rect class="missed"') == 1
    assert checker.tags.count("circle") == 14 + 2


def test_tau_and_coverage_are_drawn_over_the_rounds(tmp_path: Path) -> None:
    rounds = [{"tau": 0.1 * at, "coverage": 0.7 + 0.02 * at, "held_out": [[0.5, 0.5, 0.4, 0.6]]} for at in range(5)]
    text, _ = read(with_rounds(tmp_path / "run", rounds))
    assert "after 26 trials: Kendall τ 0.400" in text and "after 26 trials: coverage 0.780" in text
    assert re.findall(r"after (\d+) trials: 0 of 1 outside", text) == ["10", "18", "26"]


def test_odd_predictions_are_left_out(tmp_path: Path) -> None:
    for odd in (5, [3], [[1, 2]], [["a", 0.1, 0.2, 0.3]], [[None] * 4]):
        text, _ = read(with_rounds(tmp_path / "run", [{"held_out": odd}]))
        assert "Calibration" not in text


def test_a_run_of_500_trials_has_a_small_page(tmp_path: Path) -> None:
    text, checker = read(large_run(tmp_path / "run"))
    assert (tmp_path / "run" / "report.html").stat().st_size < 3_000_000
    assert f"{TRIALS} candidates were trained" in text
    assert "Triangles at the upper edge are" in text
    assert (
        len(re.findall(r"<tr>", (tmp_path / "run" / "report.html").read_text())) < 100
    )  # rounds and steps are thinned
    assert checker.tags.count("circle") > 0.9 * TRIALS


def test_what_lies_above_the_top_is_a_triangle_there() -> None:
    figure = scatter([Point(10, 0.1), Point(20, 0.9)], Axis("x", log=True), Axis("y"), top=0.2)
    assert figure.count("<circle") == 1 and figure.count('path class="trial"') == 1
    assert "0.9" not in figure


def test_the_line_joins_candidates_that_none_beats(tmp_path: Path) -> None:
    text, _ = read(make_run(tmp_path / "run", asked=ASKED, summary=SUMMARY, events=EVENTS[:14]))
    assert "The line joins candidates of which no other is smaller and better" in text
    html = (tmp_path / "run" / "report.html").read_text()
    line = re.search(r'polyline class="path" points="([^"]*)"', html)
    assert line is not None and len(line[1].split()) == 14  # each is larger and better than the one before
