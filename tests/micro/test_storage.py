"""Ways of storing weights: what is in the tables, and which is chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from steerage.micro import layout
from steerage.micro.ir import Conv, Linear, Program, Value, Weights, Window
from steerage.micro.layout import lay_out
from steerage.micro.speed import layer_instructions
from steerage.micro.storage import PLACES, Layer, choices
from steerage.micro.tables import tables


def layer(active: torch.Tensor, *, dtype: str = "float32") -> Linear:
    outputs, inputs = active.shape
    values = torch.arange(1.0, 1 + active.numel()).reshape(active.shape).double() * active
    x = Value("x", (inputs,), dtype)  # type: ignore[arg-type]
    return Linear("layer", x, Value("y", (outputs,)), Weights(values, active, torch.zeros(outputs).double()))


def pattern(outputs: int, inputs: int, density: float) -> torch.Tensor:
    return torch.rand(outputs, inputs, generator=torch.Generator().manual_seed(0)) < density


def test_places_are_counted_then_listed() -> None:
    active = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    ways = choices(layer(active), "flash")
    assert ways["index8"].index is not None
    assert ways["index8"].index.tolist() == [2, 1, 3, 0, 4, 0, 1, 2, 3]
    assert ways["index8"].table_bytes == 6 * 4 + 9
    assert ways["bitmap"].index is not None
    assert ways["bitmap"].index.tolist() == [0b1010, 0, 0b1111]  # each output begins with a byte of its own
    assert ways["dense"].table_bytes == 12 * 4
    assert "index16" not in ways


def test_steps_that_are_too_wide_for_a_byte_go_on_in_the_next() -> None:
    active = torch.zeros(2, 800, dtype=torch.bool)
    active[0, [0, 255, 765]] = True
    active[1, 254] = True
    ways = choices(layer(active), "flash")
    assert ways["delta"].index is not None
    assert ways["delta"].index.tolist() == [3, 0, 255, 0, 255, 255, 0, 1, 254]
    assert ways["index16"].index is not None
    assert ways["index16"].index.dtype == np.uint16
    assert "index8" not in ways


@pytest.mark.parametrize("inputs", [8, 256, 300, 1000])
@pytest.mark.parametrize("density", [0.01, 0.2, 1.0])
def test_every_way_says_where_the_weights_are(inputs: int, density: float) -> None:
    active = pattern(7, inputs, density)
    one = layer(active)
    for format, how in choices(one, "flash").items():
        if format in ("unrolled", "dense"):
            continue
        assert how.index is not None
        assert torch.equal(decoded(format, how.index, 7, inputs), active), format
        made = tables(one, {one: how})
        assert sum(table.bytes for table in made) == how.table_bytes + 4 * 7
        values = next((table.values() for table in made if table.name == "weights"), np.empty(0))
        assert values.tolist() == one.weights.values[active].tolist()


def decoded(format: str, index: np.ndarray, outputs: int, inputs: int) -> torch.Tensor:
    active = torch.zeros(outputs, inputs, dtype=torch.bool)
    stream = iter(index.tolist())

    def number() -> int:
        total, part = 0, next(stream)
        while format == "delta" and part == 255:
            total, part = total + 255, next(stream)
        return total + part

    for row in range(outputs):
        if format == "bitmap":
            bits = [next(stream) for _ in range(-(-inputs // 8))]
            active[row] = torch.tensor([bits[at // 8] >> at % 8 & 1 for at in range(inputs)], dtype=torch.bool)
            continue
        at = 0
        for _ in range(number()):
            at = at + number() if format == "delta" else number()
            active[row, at] = True
    assert next(stream, None) is None
    return active


def test_dense_weights_lie_four_outputs_side_by_side() -> None:
    one = layer(torch.ones(6, 3, dtype=torch.bool))
    (weights, _) = tables(one, {one: choices(one, "flash")["dense"]})
    rows = one.weights.values
    assert weights.values().tolist() == [*rows[:4].T.flatten().tolist(), *rows[4:].flatten().tolist()]


def test_kernels_are_read_by_row_then_channel() -> None:
    values = torch.arange(8.0).reshape(1, 2, 2, 2).double()
    weights = Weights(values, values > 0, None)
    one = Conv("conv", Value("x", (2, 4, 5)), Value("y", (1, 3, 4)), weights, Window((2, 2)))
    ways = choices(one, "flash")
    assert ways["index8"].index is not None
    # Place of row r, channel c, column x of the kernel in rows [y][channel][x] of 5 pixels: 10 r + 5 c + x.
    assert ways["index8"].index.tolist() == [7, 1, 5, 6, 10, 11, 15, 16]
    _, table, _ = tables(one, {one: ways["index8"]})
    assert table.values().tolist() == [1, 4, 5, 2, 3, 6, 7]


@pytest.mark.parametrize(
    ("channels", "kernel", "there"),
    [(6, (3, 3), True), (1, (3, 3), True), (2, (3, 3), False), (2, (1, 3), True), (6, (80, 80), False)],
)
def test_a_bitmap_needs_lines_under_the_kernel_that_are_equally_far_apart(
    channels: int, kernel: tuple[int, int], there: bool
) -> None:
    shape = (6, channels, *kernel)  # of 6 channels in 6 / channels groups
    active = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.5
    weights = Weights(active.double(), active, None)
    x, y = Value("x", (6, 81, 81)), Value("y", (6, 82 - kernel[0], 82 - kernel[1]))
    assert ("bitmap" in choices(Conv("conv", x, y, weights, Window(kernel), groups=6 // channels), "flash")) == there


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 7, 11])
def test_places_of_a_bitmap_are_divided_by_multiplying(columns: int) -> None:
    places = np.arange(PLACES // columns)
    assert np.array_equal(places * (PLACES // columns + 1) >> 15, places // columns)


@pytest.mark.parametrize(("density", "format"), [(1.0, "dense"), (0.5, "bitmap"), (0.02, "index8")])
def test_the_smallest_way_is_taken_for_flash(density: float, format: str) -> None:
    one = layer(pattern(60, 200, density))
    made = lay_out(Program(one.x, one.output, (one,)))
    assert made.stored[one].format == format
    assert (
        made.table_bytes
        == min(way.table_bytes for name, way in choices(one, "flash").items() if name != "unrolled") + 240
    )


def test_a_function_that_serves_little_is_given_up_for_one_that_is_there() -> None:
    large = layer(pattern(60, 200, 0.5))
    small = Linear("small", large.output, Value("z", (3,)), layer(pattern(3, 60, 0.06)).weights)
    alone = lay_out(Program(large.output, small.output, (small,)))
    assert alone.stored[small].format in ("index8", "unrolled")
    together = lay_out(Program(large.x, small.output, (large, small)))
    assert together.stored[small].format in ("bitmap", "unrolled")
    assert together.table_bytes + together.code_bytes() < large_and(small, large, "index8")


def large_and(small: Layer, large: Layer, format: str) -> int:
    """Bytes of both layers with the small one stored as ``format``."""
    chosen = {large: "bitmap", small: format}
    old, layout._smallest = layout._smallest, lambda options: chosen  # type: ignore[assignment,return-value]
    try:
        made = lay_out(Program(large.x, small.output, (large, small)))  # type: ignore[arg-type]
    finally:
        layout._smallest = old
    return made.table_bytes + made.code_bytes()


@pytest.mark.parametrize(
    ("density", "format"), [(1.0, "dense"), (0.05, "unrolled"), (0.1, "unrolled"), (0.3, "index8")]
)
def test_the_fastest_way_is_taken_for_speed(density: float, format: str) -> None:
    one = layer(pattern(16, 100, density))
    made = lay_out(Program(one.x, one.output, (one,)), prefer="speed")
    assert made.stored[one].format == format
    ways = choices(one, "speed")
    assert layer_instructions(one, ways[format]) == min(layer_instructions(one, way) for way in ways.values())  # type: ignore[index]


def test_an_empty_layer_has_no_tables_but_its_bias() -> None:
    one = layer(torch.zeros(3, 5, dtype=torch.bool))
    made = tables(one, {one: choices(one, "flash")["index8"]})
    assert [(table.name, table.count) for table in made] == [("index", 3), ("bias", 3)]
