"""How long the best are trained, and whether they are the best on other rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from finalists import ROWS, a_run, finalist
from steerage.space import Values
from steerage.synthesis import promotion
from steerage.synthesis.plan import Effort, Plan
from steerage.synthesis.promotion import promote
from steerage.synthesis.stage import Finalist, Run
from steerage.training.evaluate import Scores


@pytest.mark.parametrize(
    ("losses", "chosen", "expected"),
    [
        ([0.5, 0.6, 0.6], "promoted-0", [100, 40, 250]),
        ([0.5, 0.6, 0.4, 0.45], "promoted-longer-0", [100, 40, 250, 600]),
        ([0.5, 0.5, 0.4, 0.3], "promoted-longer-1", [100, 40, 250, 600]),
        ([0.5, 0.4, 0.45], "promoted-shorter-0", [100, 40, 15]),
        ([0.5, 0.4, 0.3], "promoted-shorter-1", [100, 40, 15]),  # six epochs teach nobody by heart
    ],
)
def test_the_winner_is_trained_for_shorter_or_for_longer_while_that_helps(
    losses: list[float], chosen: str, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, lengths = a_run(tmp_path), list[int]()

    def trained(run: Run, name: str, values: Values, *, epochs: int, **options: object) -> Finalist:
        lengths.append(epochs)
        found = finalist(name, values, 0.1)
        return replace(found, trained=replace(found.trained, scores=Scores(0.1, losses[len(lengths) - 1], ROWS)))

    monkeypatch.setattr(promotion, "trained_in", trained)
    run = replace(run, plan=Plan(Effort(trials=3, epochs=600)))
    assert promote(run, [run.bench.template.starts(run.bench.dataset.spec)[0]]).name == chosen
    assert lengths == expected


@pytest.mark.parametrize(("other_errors", "chosen"), [((0.2, 0.3), "lucky"), ((0.3, 0.2), "start")])
def test_what_beats_the_starting_points_has_to_do_so_on_other_rows_too(
    other_errors: tuple[float, float], chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    run, seen, left = replace(a_run(tmp_path), emit=told.append), [], list(other_errors)
    start = run.bench.template.starts(run.bench.dataset.spec)[0]
    space = run.bench.template.space(run.bench.dataset.spec)
    other = space.normalize({**start, "depth": 3, "width": 40})

    def trained(run: Run, name: str, values: Values, *, epochs: int, **options: object) -> Finalist:
        seen.append((name, epochs, run.bench.train_rows, run.bench.validation_rows))
        run.emit(name)
        return finalist(name, values, left.pop(0))

    monkeypatch.setattr(promotion, "trained_in", trained)
    lucky, expected = finalist("lucky", other, 0.1), finalist("start", start, 0.3)
    assert promotion.confirmed(run, lucky, [lucky, expected]).name == chosen
    assert [name for name, *_ in seen] == ["confirmed-lucky", "confirmed-start"]
    assert not told  # errors on other rows are not those of the others
    for _, epochs, rows, held in seen:
        assert epochs == 1  # as long as before
        assert sorted([*rows.tolist(), *held.tolist()]) == list(range(len(run.bench.dataset.y)))
        assert not torch.equal(held, run.bench.validation_rows)
    assert promotion.confirmed(run, expected, [lucky, expected]) is expected
    assert promotion.confirmed(run, lucky, [lucky]) is lucky
    hurried = replace(run, plan=replace(run.plan, scarce=True))
    assert promotion.confirmed(hurried, lucky, [lucky, expected]) is lucky
    assert len(seen) == 2
