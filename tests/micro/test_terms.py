"""How often the loops of generated code go round, and what the table says of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from networks import network, pruned
from steerage.bundle import Network
from steerage.export.c import generate, quantize
from steerage.export.examples import example_rows
from steerage.micro import layout
from steerage.micro.codesize import CORES, Core
from steerage.micro.ir import Act, Conv, Linear, Program, Value, Weights, Window
from steerage.micro.layout import Layout, lay_out
from steerage.micro.speed import TABLE, instructions, layer_instructions
from steerage.micro.storage import BLOCKS, WHOLE_BLOCKS, choices
from steerage.micro.terms import layer_terms, program_terms

FORMATS = ("dense", "index", "delta", "bitmap")


def linear(active: torch.Tensor, *, whole: bool = False) -> Linear:
    kind = "int8" if whole else "float32"
    weights = Weights(active.double(), active, torch.zeros(len(active)).double())
    return Linear("layer", Value("x", (active.shape[1],), kind), Value("y", (len(active),), kind), weights)  # type: ignore[arg-type]


def test_rounds_of_a_linear_layer_by_hand() -> None:
    active = torch.zeros(6, 10, dtype=torch.bool)
    active[0, :3] = active[5, 9] = True
    one = linear(active)
    ways = choices(one, "flash")
    name = "linear_dense"
    dense = {f"{name}:group": 1, f"{name}:group_input": 10, f"{name}:row": 2, f"{name}:row_input": 20}
    assert layer_terms(one, ways["dense"]) == {**dense, "multiply": 4, "multiply_full": 4, "multiply_none": 56}
    index = layer_terms(one, ways["index8"])
    assert (index["linear_index:row"], index["linear_index:weight"]) == (6, 4)
    # Two bytes for each output; of each the bits are looked at up to the last weight: 3 of the first, 2 of the last.
    bits = layer_terms(one, ways["bitmap"])
    assert (bits["linear_bitmap:byte"], bits["linear_bitmap:place"], bits["linear_bitmap:weight"]) == (12, 5, 4)


def test_rounds_of_a_convolution_by_hand() -> None:
    weights = Weights(torch.ones(2, 3, 3, 3).double(), torch.ones(2, 3, 3, 3).bool(), torch.zeros(2).double())
    x = Value("x", (3, 9, 10))
    one = Conv("conv", x, Value("y", (2, 9, 10)), weights, Window((3, 3), (1, 1), (1, 1)))
    made = lay_out(Program(x, one.output, (one,)))
    (found,) = [program_terms(made.program, made.stored)]
    # 9 rows of 10 pixels, in two blocks of 8 of which the last ends with the row.
    assert found["row_dense_8:row"] == 9 * 2
    assert found["row_dense_8:block"] == 9 * 2 * 2
    assert found["row_dense_8:place"] == 9 * 2 * 2 * 27
    assert found["multiply"] == 9 * 16 * 54
    # Each of the 9 rows of the input is copied once; the window, of 3 rows of 3 channels of 12, moves up 8 times.
    assert found["load:map"] == 9 * 3 * 10
    assert found["load:kept"] == 8 * 2 * 3 * 12
    assert found["load:zero"] == (3 + 8) * 3 * 12


def test_rounds_of_a_bitmap_by_hand() -> None:
    active = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    active[0, 0, 0, 1] = active[0, 0, 1, 1] = active[0, 0, 2, 2] = True  # places 1, 4 and 8
    weights = Weights(active.double(), active, torch.zeros(2).double())
    x = Value("x", (2, 5, 8))
    one = Conv("conv", x, Value("y", (2, 5, 8)), weights, Window((3, 3), (1, 1), (1, 1)), 2, Act("relu"))
    ways = choices(one, "flash")
    found = layer_terms(one, ways["bitmap"])
    # Two bytes for each of two channels in 5 rows; below the highest 1 of a byte are 3 zeros in all.
    name = "row_bitmap_8"
    taken = {"row": 10, "block": 10, "byte": 20, "zero": 15, "weight": 15}
    assert {key: count for key, count in found.items() if key.startswith(name)} == {
        f"{name}:{key}": count for key, count in taken.items()
    }
    # Channels of a row are activated together.
    whole = program_terms(Program(x, one.output, (one,)), {one: ways["bitmap"]})
    assert (whole["activate"], whole["activate:relu"]) == (5, 80)


def program(net: Network, *, int8: bool) -> Layout:
    rows = example_rows(net.preprocess, 30, generator=torch.Generator().manual_seed(0))
    return generate(net, name="net", int8=quantize(net, rows) if int8 else None).layout


NETWORKS: list[Callable[[], Network]] = [
    lambda: network("mlp", bins=4, skips=True, depth=3),
    lambda: pruned(network("mlp", activation="gelu"), 0.3),
    lambda: pruned(network("cnn", pooling="avg", residual=True, blocks=2, growth=1.0, activation="silu"), 0.5),
    lambda: network("resnet", width=8, squeeze=True),
    lambda: network("mobile", width=0.25, squeeze=True, activation="hardswish"),
    lambda: network("signal", head="hidden"),
]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("numbers", ["float32", "int8"])
def test_the_table_names_every_way_of_storing_a_layer_and_all_that_networks_do(core: Core, numbers: str) -> None:
    known = json.loads(TABLE.read_text())[core][numbers]
    blocks = WHOLE_BLOCKS if numbers == "int8" else BLOCKS["speed"]
    for format in FORMATS:
        assert f"linear_{format}:row" in known
        assert all(f"row_{format}_{block}:block" in known for block in blocks)
    for make in NETWORKS:
        made = program(make(), int8=numbers == "int8")
        met = {name for name, count in program_terms(made.program, made.stored).items() if count}
        assert {name for name in met if not name.startswith("multiply")} <= known.keys()


def test_connections_that_are_pruned_take_no_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_smallest", lambda options: dict.fromkeys(options, "index8"))
    taken = []
    for density in (0.9, 0.5, 0.1):
        active = torch.rand(20, 50, generator=torch.Generator().manual_seed(0)) < density
        one = linear(active)
        made = lay_out(Program(one.x, one.output, (one,)))
        taken.append(instructions(made.program, made.stored))
    assert taken[0] > 1.5 * taken[1] > 3.0 * taken[2]


def test_floats_take_longer_where_there_is_no_unit_for_them_and_integers_do_not() -> None:
    active = torch.ones(8, 20, dtype=torch.bool)
    floats, integers = linear(active), linear(active, whole=True)
    how = choices(floats, "flash")["dense"]
    fast, slow = (layer_instructions(floats, how, core) for core in ("cortex-m4", "cortex-m3"))  # type: ignore[arg-type]
    assert slow > 8 * fast
    one, two = (layer_instructions(integers, how, core) for core in ("cortex-m4", "cortex-m3"))  # type: ignore[arg-type]
    assert two == pytest.approx(one, rel=0.2)
