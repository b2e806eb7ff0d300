"""Places in the scratch: nothing is overwritten before it was read, and the peak is as low as by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from networks import around, network, pruned
from steerage.micro import build
from steerage.micro.ir import Act, Activate, Combine, Conv, Join, Linear, Pool, Program, Value, Weights, Window
from steerage.micro.plan import clearance, extras, plan

WORD = 4  # bytes of a float


def value(name: str, *shape: int) -> Value:
    return Value(name, shape)


def linear(x: Value, y: Value, onto: Value | None = None) -> Linear:
    shape = (y.size, x.size)
    return Linear(y.name, x, y, Weights(torch.zeros(shape), torch.ones(shape, dtype=torch.bool), None), onto)


def conv(x: Value, y: Value, *, kernel: int = 3, padding: int = 1, stride: int = 1, pool: int = 0) -> Conv:
    shape = (y.shape[0], x.shape[0], kernel, kernel)
    weights = Weights(torch.zeros(shape), torch.ones(shape, dtype=torch.bool), None)
    window = Window((kernel, kernel), (stride, stride), (padding, padding))
    return Conv(y.name, x, y, weights, window, pool=(pool, pool) if pool else None)


def test_two_layers_need_the_two_largest_neighbours() -> None:
    x, a, b, c = value("x", 9), value("a", 30), value("b", 20), value("c", 25)
    made = plan(Program(x, c, (linear(x, a), linear(a, b), linear(b, c))))
    assert made.bytes == 50 * WORD  # a and b; c takes the place of a
    assert {made.values[a], made.values[b]} in ({0, 20 * WORD}, {0, 30 * WORD})


def test_what_works_number_by_number_needs_no_second_place() -> None:
    x, a, b = value("x", 9), value("a", 30), value("b", 30)
    made = plan(Program(x, b, (linear(x, a), Activate("act", a, b, Act("relu")))))
    assert (made.bytes, made.values[a], made.values[b]) == (30 * WORD, 0, 0)


def test_a_residual_sum_keeps_its_first_term_until_then() -> None:
    x, a, b, c, d = value("x", 4), value("a", 10), value("b", 40), value("c", 10), value("d", 10)
    ops = (linear(x, a), linear(a, b), linear(b, c), Combine("sum", "add", a, c, d))
    assert plan(Program(x, d, ops)).bytes == 60 * WORD  # a, b and c at once; the sum is written over one of its terms


def test_joined_vectors_lie_side_by_side() -> None:
    x, a, b = value("x", 4), value("a", 3), value("b", 5)
    ab, c = value("ab", 8), value("c", 2)
    made = plan(Program(x, c, (linear(x, a), linear(a, b), Join("ab", (a, b), ab), linear(ab, c))))
    assert made.values[ab] == made.values[a] == made.values[b] - 3 * WORD
    assert made.bytes == 10 * WORD


def test_a_sum_of_joined_vectors_is_written_over_the_first_alone() -> None:
    x, a, b, ab = value("x", 4), value("a", 5), value("b", 5), value("ab", 10)
    c, d, e = value("c", 2), value("d", 5), value("e", 3)
    ops = (
        linear(x, a),
        linear(a, b),
        Join("ab", (a, b), ab),
        linear(ab, c),
        Combine("sum", "add", a, b, d),
        linear(d, e),
    )
    made = plan(Program(x, e, ops))
    assert made.values[d] <= made.values[a] or made.values[d] >= made.values[b] + 5 * WORD
    ops = (*ops[:4], linear(a, d, onto=b), linear(d, e))  # here one of the two must not be overwritten
    made = plan(Program(x, e, ops))
    assert made.values[d] >= made.values[b] + 5 * WORD or made.values[d] + 5 * WORD <= made.values[a]


def test_a_sum_in_parts_is_written_over_its_first_part() -> None:
    x, a, b, c = value("x", 4), value("a", 6), value("b", 5), value("c", 5)
    assert plan(Program(x, c, (linear(x, a), linear(x, b), linear(a, c, onto=b)))).bytes == 11 * WORD


def test_a_convolution_is_written_over_the_map_that_it_reads() -> None:
    x, a, b = value("x", 4, 10, 10), value("a", 4, 10, 10), value("b", 4, 10, 10)
    first, second = conv(x, a), conv(a, b)
    made = plan(Program(x, b, (first, second)))
    window = 3 * 4 * 12  # three rows of four channels, each beside two zeros
    assert extras(second) == {"window": window * WORD}
    assert clearance([second], a) == 0
    assert made.bytes == (400 + window) * WORD


def test_a_convolution_without_padding_is_a_row_ahead_of_what_it_reads() -> None:
    x, a, b = value("x", 2, 8, 8), value("a", 2, 8, 8), value("b", 2, 6, 6)
    second = conv(a, b, padding=0)
    assert extras(second) == {}
    # Output row r of 12 numbers is written while input row r is the first one that is read: 12 (r + 1) <= d + 16 r.
    assert clearance([second], a) == 12
    assert plan(Program(x, b, (conv(x, a), second))).bytes == max(12 + 128, 128 + 3 * 2 * 10) * WORD


def test_more_channels_need_as_much_more_room_as_they_take() -> None:
    a, b = value("a", 2, 8, 8), value("b", 6, 8, 8)
    # Row r of 48 numbers; when it is written the rows up to r + 1 of 16 numbers have been read.
    assert clearance([conv(a, b)], a) == max(48 * (r + 1) - 16 * min(8, r + 2) for r in range(8))


def test_a_pooling_is_written_over_its_input_or_done_with_the_convolution() -> None:
    x, a, b, c = value("x", 1, 8, 8), value("a", 3, 8, 8), value("b", 3, 4, 4), value("c", 3, 4, 4)
    window = Window((2, 2), (2, 2))
    apart = plan(Program(x, b, (conv(x, a), Pool("pool", a, b, window, "max"))))
    assert apart.bytes == (3 * 64 + 3 * 10) * WORD
    assert plan(Program(x, c, (conv(x, c, pool=2),))).bytes == (3 * 16 + 3 * 10 + 8) * WORD  # the window, and a row


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"), [((3, 8, 8), 2, 2), ((2, 7, 9), 3, 2), ((1, 6, 6), 1, 3), ((4, 5, 5), 3, 1)]
)
def test_the_clearance_of_a_pooling_is_the_least(shape: tuple[int, int, int], kernel: int, stride: int) -> None:
    x = value("x", *shape)
    window = Window((kernel, kernel), (stride, stride))
    y = value("y", shape[0], *window.places(shape))

    def survives(ahead: int) -> bool:
        """Whether a pooling that writes ``ahead`` before its input reads nothing that it has overwritten."""
        memory = np.zeros(2000, dtype=bool)
        at = 0
        for row in range(y.shape[1]):
            for channel in range(shape[0]):
                for column in range(y.shape[2]):
                    for ky in range(kernel):
                        for kx in range(kernel):
                            place = ((row * stride + ky) * shape[0] + channel) * shape[2] + column * stride + kx
                            if memory[500 + ahead + place]:
                                return False
                    memory[500 + at] = True
                    at += 1
        return True

    least = clearance([Pool("pool", x, y, window, "max")], x)
    assert least is not None
    assert survives(least) and not survives(least - 1)


@pytest.mark.parametrize("template", ["mlp", "cnn", "resnet", "mobile"])
def test_what_is_in_use_at_one_time_shares_no_memory_unless_it_may(template: str) -> None:
    net = pruned(network(template, **({"bins": 4, "skips": True} if template == "mlp" else {})), 0.3)
    program = build(net.model, net.preprocess, masks=net.masks)
    made = plan(program)
    joins = {part: op.output for op in program.ops if isinstance(op, Join) for part in op.inputs}
    uses: dict[Value, list[int]] = {}
    for place, op in enumerate(program.ops):
        for one in (*op.inputs, op.output):
            whole = one
            while whole in joins:
                whole = joins[whole]
            uses.setdefault(whole, []).append(place)
    uses[program.output] = [*uses.get(program.output, []), len(program.ops)]
    for one in uses:
        for two in uses:
            if (
                one is two
                or program.input in (one, two)
                or max(uses[one]) < min(uses[two])
                or max(uses[two]) < min(uses[one])
            ):
                continue
            start, end = made.values[one], made.values[one] + one.bytes
            if start >= made.values[two] + two.bytes or made.values[two] >= end:
                continue
            first, second = sorted((one, two), key=lambda each: min(uses[each]))
            op = program.ops[min(uses[second])]
            assert max(uses[first]) == min(uses[second])
            needed = clearance([op], next(each for each in op.inputs if each is first))
            assert needed is not None and made.values[first] - made.values[second] >= needed * WORD
    for (op, name), place in made.extra.items():
        for each in (*op.inputs, op.output):
            if each is not program.input:
                apart = place + extras(op)[name] <= made.values[each] or made.values[each] + each.bytes <= place
                assert apart
    assert made.bytes == max(made.values[each] + each.bytes for each in made.values) or made.extra


def test_the_plan_is_the_same_each_time() -> None:
    net = around(
        nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=1) for _ in range(9)), nn.Flatten(), nn.Linear(50, 4)), (2, 5, 5)
    )
    program = build(net.model, net.preprocess)
    again = replace(program)
    assert plan(program).values == plan(again).values
