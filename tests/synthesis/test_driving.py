from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from steerage.cost.budget import Budget
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.growprune import schemes
from steerage.growprune.schemes import Scheme, Units
from steerage.space import Values
from steerage.synthesis import candidate
from steerage.synthesis.candidate import Bench, Conduct, Trained, candidate_training, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.synthesis.driving import side_by_side
from steerage.templates import Cnn, Mlp
from steerage.training import fit
from steerage.training.fit import Tick
from steerage.training.split import validation_split
from steerage.training.stacked.stack import Stack
from tasks import pictures, table

DATA = table()
GRADUAL = schemes.gradual(start=0.25, end=0.75, steps=8, exchange=0.05)
CHANGING_UNITS = tuple(
    sorted([*GRADUAL, Units(0.15, -0.3, "gain"), Units(0.35, 0.2, "random")], key=lambda one: one.at)
)


def bench_of() -> Bench:
    rows, validation = validation_split(DATA, 0)
    return Bench(DATA, Mlp(), Budget(max_params=120), rows, validation, RunClock())


def candidates() -> list[Values]:
    first, second = Mlp().starts(DATA.spec)
    return [first, {**second, "activation": "silu"}, {**second, "depth": 3, "skips": False, "lr": 0.02}]


def conduct(bench: Bench, values: Values, seed: int, *, scheme: Scheme = GRADUAL, file: Path | None = None) -> Conduct:
    name = f"trial {seed}"
    return candidate_training(
        bench, values, name=name, seed=seed, epochs=12, scheme=scheme, checkpoint=file, exact=False
    )


def same(one: object, other: object) -> bool:
    assert isinstance(one, Trained) and isinstance(other, Trained)
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    equal = all(torch.equal(ours[name], theirs[name]) for name in theirs)
    return equal and (one.scores, one.cost, one.edits) == (other.scores, other.cost, other.edits)


@pytest.mark.parametrize("scheme", [GRADUAL, CHANGING_UNITS], ids=["connections", "units"])
def test_candidates_side_by_side_come_to_what_each_comes_to_alone(scheme: Scheme) -> None:
    bench = bench_of()
    conducts = [conduct(bench, values, seed, scheme=scheme) for seed, values in enumerate(candidates())]
    together = side_by_side(conducts, bench.dataset, bench.clock)
    for seed, (values, ours) in enumerate(zip(candidates(), together, strict=True)):
        alone = synthesize_candidate(bench, values, name="one", seed=seed, epochs=12, scheme=scheme, exact=False)
        assert same(ours, alone)
        assert bench.budget.violation(alone.cost) == 0.0 and len(alone.edits) >= 8


def test_failures_are_the_candidate_s_own() -> None:
    bench = bench_of()
    impossible = replace(bench, budget=Budget(max_params=20))
    wild = {**candidates()[1], "lr": 1e38}
    first, failed, refused, last = side_by_side(
        [
            conduct(bench, candidates()[0], 0),
            conduct(bench, wild, 1),
            conduct(impossible, candidates()[0], 2),
            conduct(bench, candidates()[2], 2),
        ],
        bench.dataset,
        bench.clock,
    )
    assert isinstance(failed, TrainingFailed) and isinstance(refused, InfeasibleBudget)
    expected = side_by_side(
        [conduct(bench, candidates()[0], 0), conduct(bench, candidates()[2], 2)], bench.dataset, bench.clock
    )
    assert same(first, expected[0]) and same(last, expected[1])


def test_a_stop_keeps_what_all_have_and_all_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "TICK_SECONDS", 1e9)
    monkeypatch.setattr(candidate, "SAVE_EVERY_SECONDS", 1e9)

    def stop(name: str, tick: Tick) -> None:
        if name == "trial 1" and tick.progress > 0.5:
            raise KeyboardInterrupt

    bench = bench_of()
    stopping = replace(bench, on_tick=stop)
    files = [tmp_path / str(seed) for seed in range(3)]
    pairs = [*zip(candidates(), files, strict=True)]
    with pytest.raises(KeyboardInterrupt):
        side_by_side(
            [conduct(stopping, values, seed, file=file) for seed, (values, file) in enumerate(pairs)],
            bench.dataset,
            bench.clock,
        )
    assert all(file.is_file() for file in files)
    straight = side_by_side(
        [conduct(bench, values, seed) for seed, values in enumerate(candidates())], bench.dataset, bench.clock
    )
    resumed = [
        side_by_side([conduct(bench, values, seed, file=file)], bench.dataset, bench.clock)[0]
        for seed, (values, file) in enumerate(pairs)
    ]
    for ours, theirs in zip(resumed, straight, strict=True):
        assert same(ours, theirs)


def test_a_stop_within_a_step_keeps_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(stack: Stack, lrs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Stack, "update", stop)
    bench, files = bench_of(), [tmp_path / str(seed) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt):
        side_by_side(
            [conduct(bench, values, 0, file=file) for values, file in zip(candidates(), files, strict=True)],
            bench.dataset,
            bench.clock,
        )
    assert not any(file.exists() for file in files)


def test_a_candidate_that_is_given_up_leaves_the_others_as_they_are() -> None:
    class Never:
        first: float | None = None

        def __call__(self, progress: float, scores: object) -> bool:
            return progress > 0.4

    bench, values = bench_of(), candidates()
    given_up = candidate_training(
        bench, values[1], name="one", seed=1, epochs=12, scheme=GRADUAL, hopeless=Never(), exact=False
    )
    first, second, third = side_by_side(
        [conduct(bench, values[0], 0), given_up, conduct(bench, values[2], 2)], bench.dataset, bench.clock
    )
    assert isinstance(second, Trained) and 4.0 < second.epochs < 12.0
    expected = side_by_side([conduct(bench, values[0], 0), conduct(bench, values[2], 2)], bench.dataset, bench.clock)
    assert same(first, expected[0]) and same(third, expected[1])


def test_networks_that_no_stack_takes_are_trained_one_after_the_other() -> None:
    data = pictures()
    rows, validation = validation_split(data, 0)
    bench = Bench(data, Cnn(), Budget(), rows, validation, RunClock())
    values = Cnn().baseline(data.spec)
    conducts = [candidate_training(bench, values, name="one", seed=seed, epochs=1, scheme=None) for seed in range(2)]
    ours = side_by_side(conducts, data, bench.clock)
    alone = synthesize_candidate(bench, values, name="one", seed=1, epochs=1, scheme=None)
    assert same(ours[1], alone) and not same(ours[0], alone)
