"""What is taken for better than what is usual."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finalists import ROWS, a_run, finalist
from steerage.synthesis.preference import preferred, with_experience
from steerage.training.evaluate import Scores


@pytest.mark.parametrize("regression", [False, True])
def test_a_candidate_has_to_beat_the_starting_points_by_more_than_noise(tmp_path: Path, regression: bool) -> None:
    run = a_run(tmp_path, regression=regression)
    spec = run.bench.dataset.spec
    start = run.bench.template.starts(spec)[0]
    other = run.bench.template.space(spec).normalize({**start, "depth": 3, "width": 40})
    noise = Scores(0.1, 0.5, ROWS).standard_error(regression=regression)
    expected = finalist("start", start, 0.1)
    little, much = finalist("little", other, 0.1 - 0.9 * noise, 0.49), finalist("much", other, 0.1 - 1.1 * noise, 0.49)
    assert preferred(run, [expected, little]) is expected
    assert preferred(run, [expected, much]) is much
    assert preferred(run, [finalist("worse", other, 0.2), expected]) is expected
    assert preferred(run, [expected, finalist("lucky", other, 0.1 - 1.1 * noise, 0.6)]) is expected


def test_without_a_starting_point_the_best_is_chosen(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    start = run.bench.template.starts(run.bench.dataset.spec)[0]
    space = run.bench.template.space(run.bench.dataset.spec)
    others = [space.normalize({**start, "depth": 3, "width": width}) for width in (40, 80)]
    first, second = finalist("first", others[0], 0.1), finalist("second", others[1], 0.099)
    assert preferred(run, [first, second]) is second


def test_a_starting_point_is_always_among_the_promoted(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    space, starts = run.bench.template.space(run.bench.dataset.spec), run.bench.template.starts(run.bench.dataset.spec)
    others = [space.normalize({**starts[0], "depth": 3, "width": width}) for width in (40, 80, 160)]
    ranked = [*others, starts[1], starts[0]]
    assert with_experience(run, others, ranked) == [*others[:2], starts[1]]
    assert with_experience(run, [others[0], starts[0]], ranked) == [others[0], starts[0]]
    assert with_experience(run, others[:1], ranked) == others[:1]
    assert with_experience(run, others, others) == others
    hurried = replace(run, plan=replace(run.plan, hurried=True))
    assert with_experience(hurried, others, ranked) == [starts[0]]
    assert with_experience(hurried, others, others) == others
