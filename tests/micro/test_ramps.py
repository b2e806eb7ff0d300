import math

import numpy as np
import pytest
import torch

from steerage.micro.calibrate import Scheme
from steerage.micro.integers import ARITHMETIC
from steerage.micro.interpret import features, run
from steerage.micro.ir import Bins, Encode, Features, Gather, Hot, Number, Op, Program, Quantization, Run, Value
from steerage.micro.ramps import encode, encoded, fixed

STEPS = Quantization(np.array([16.0 / 255]), np.array([-0.0]))
UNIT = Quantization(np.array([1.0 / 255]), np.array([-128.0]))
NUMBERS = (Number(0, 20.0, 12.0, 5.0), Number(2, -1e-4, 3e-4, 1e-4), Number(3, 1e9, 2e9, 3e8))


def table(*, logs: tuple[Number, ...] = (), numbers: tuple[Number, ...] = NUMBERS) -> Features:
    x = Value("x", (5,))
    hot = (Hot(1, 3, 2),)
    size = len(numbers) + len(logs) + 1 + 3
    return Features("features", x, Value("features", (size,)), numbers, logs, (0,), hot, False)


def side_by_side(numbers: int, others: int) -> Quantization:
    parts = [(STEPS, numbers), (UNIT, others)]
    return Quantization(
        np.concatenate([np.repeat(one.scale, count) for one, count in parts]),
        np.concatenate([np.repeat(one.zero, count) for one, count in parts]),
    )


def integers(*ops: Op) -> dict[Op, Encode]:
    first = ops[0]
    assert isinstance(first, Features)
    values = {first.output: side_by_side(len(first.numbers) + len(first.logs), 4)}
    values |= {op.output: UNIT for op in ops[1:]}
    program = Program(first.x, ops[-1].output, ops)
    return dict(encoded(program, Scheme(values, {})))


def rows(count: int = 500) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 5, generator=generator)
    x = x * torch.tensor([5.0, 0.0, 1e-4, 3e8, 1.0]) + torch.tensor([12.0, 0.0, 3e-4, 2e9, 0.0])
    x[:, 1] = torch.randint(-1, 4, (count,), generator=generator).float()
    x[torch.rand(count, 5, generator=generator) < 0.1] = math.nan
    return x


def test_columns_are_what_their_floats_would_be_in_steps_but_for_rounding() -> None:
    op = table()
    x = rows()
    one = side_by_side(3, 4)
    wanted = (features(op, x).numpy() / one.scale + one.zero).clip(-128, 127)
    made = encode(integers(op)[op], x).numpy()
    assert np.abs(made - wanted).max() < 0.52
    assert np.array_equal(made, made.round())


def test_indicators_and_codes_are_exact() -> None:
    op = table()
    x = rows()
    made = encode(integers(op)[op], x)[:, 3:]
    assert torch.equal(made, torch.where(features(op, x)[:, 3:] > 0, 127.0, -128.0).double())


def test_a_code_that_is_missing_is_the_one_to_fill_in_and_unknown_ones_are_none() -> None:
    op = table()
    x = torch.tensor([[0.0, math.nan, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0, 0.0], [0.0, 7.0, 0.0, 0.0, 0.0]])
    assert encode(integers(op)[op], x)[:, 4:].tolist() == [[-128, -128, 127], [-128] * 3, [-128] * 3]


def test_numbers_that_are_far_away_are_at_the_ends() -> None:
    op = table()
    x = torch.zeros(4, 5)
    x[:, 0] = torch.tensor([3e38, -3e38, math.inf, 1e-39])
    high, low, infinite, tiny = encode(integers(op)[op], x)[:, 0].tolist()
    assert (high, low) == (127, -128)
    assert infinite == encode(integers(op)[op], torch.full((1, 5), 20.0))[0, 0]  # is missing: 20 is filled in
    assert tiny == encode(integers(op)[op], torch.zeros(1, 5))[0, 0]


def test_bins_are_ramps_of_the_column_itself() -> None:
    first = table()
    bins = Bins("bins", first.output, Value("bins", (3,)), (Run(0, (-1.0, 0.25, 2.0)), Run(2, (-0.5, 0.5))))
    x = rows()
    made = encode(integers(first, bins)[bins], x).numpy()
    scaled = features(first, x)
    wanted = run(Program(first.x, bins.output, (first, bins)), x, ARITHMETIC).numpy() * 255 - 128
    assert scaled.shape == (500, 7)
    assert np.abs(made - wanted).max() < 0.52


def test_bins_of_chosen_columns_read_those() -> None:
    first = table()
    chosen = Gather("chosen", first.output, Value("chosen", (2,)), np.array([2, 0]))
    bins = Bins("bins", chosen.output, Value("bins", (1,)), (Run(1, (-1.0, 1.0)),))
    assert integers(first, chosen, bins)[bins].columns[0].at == 0


@pytest.mark.parametrize(
    "op",
    [
        table(numbers=NUMBERS[:1], logs=(Number(2, 0.0, 0.0, 1.0, 1.0),)),
        table(numbers=(Number(0, 0.0, 1e9, 1.0),)),
        table(numbers=(Number(0, 0.0, 0.0, 1e-38),)),
    ],
    ids=["a logarithm", "nothing but a large number", "hardly a number"],
)
def test_columns_that_need_floats_keep_them(op: Features) -> None:
    assert integers(op) == {}


def test_bins_beside_other_numbers_in_other_steps_keep_their_floats() -> None:
    first = table()
    bins = Bins("bins", first.output, Value("bins", (1,)), (Run(0, (-1.0, 1.0)),))
    values = {first.output: side_by_side(3, 4), bins.output: STEPS}
    assert encoded(Program(first.x, bins.output, (first, bins)), Scheme(values, {})) == {}


def test_fixed_point_goes_towards_zero_and_has_an_end() -> None:
    x = torch.tensor([1.75, -1.75, 3e9, -3e9, 0.0])
    assert fixed(x, 1).tolist() == [3.0, -3.0, 2.0**30, -(2.0**30), 0.0]


def test_bins_of_indicators_and_codes_are_flags_after_the_ramps() -> None:
    first = table()
    edges = (-2.0, 0.5, 2.0)
    bins = Bins("bins", first.output, Value("bins", (8,)), tuple(Run(at, edges) for at in (1, 3, 4, 6)))
    x = rows()
    op = integers(first, bins)[bins]
    wanted = run(Program(first.x, bins.output, (first, bins)), x, ARITHMETIC).numpy() * 255 - 128
    assert (len(op.columns), len(op.flags)) == (2, 6)
    assert np.abs(encode(op, x).numpy() - wanted).max() < 0.52


def test_ramps_after_flags_keep_their_floats() -> None:
    first = table()
    bins = Bins("bins", first.output, Value("bins", (2,)), (Run(3, (0.0, 1.0)), Run(0, (0.0, 1.0))))
    assert integers(first, bins) == {}
