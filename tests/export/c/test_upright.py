"""Generated code that puts images upright: the same pixels as in PyTorch, in floats, in integers and in ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch
from compilers import agrees, built, needs_board, needs_host
from torch import Tensor, nn

from networks import around
from steerage.bundle import Network
from steerage.data.images import ImagePreprocess
from steerage.data.straighten import Straighten
from steerage.export.c import Options, generate, quantize, verify
from steerage.export.c.toolchain import TARGETS
from steerage.export.graph import onnx_graph
from steerage.export.int8 import quantized
from steerage.export.onnx import export_onnx
from steerage.micro import build
from steerage.micro.floats import evaluate
from steerage.templates import TEMPLATES


def slanted(n: int, shape: tuple[int, ...], background: int, seed: int = 0) -> Tensor:
    """Images (n, *shape) of bars that lean; the first is empty, the second noise."""
    channels, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    images = torch.full((n, *shape), background, dtype=torch.uint8)
    for place, image in enumerate(images[2:]):
        for row in range(2, height - 2 - place % 4):
            begin = (place + row * (place % 7 - 3) // 6) % (width - 3)
            image[:, row, begin : begin + 3] = torch.randint(0, 256, (channels, 3), generator=generator).to(torch.uint8)
    images[1] = torch.randint(0, 256, shape, generator=generator).to(torch.uint8)
    return images


def upright(
    template: str, shape: tuple[int, ...] = (1, 18, 16), background: int = 0, **genes: int | float | str | bool
) -> Network:
    """A network whose images are put upright."""
    net = around(nn.Flatten(), shape)
    preprocess = net.preprocess
    assert isinstance(preprocess, ImagePreprocess)
    values = {**TEMPLATES[template].baseline(net.spec), **genes}
    model = TEMPLATES[template].build(values, net.spec)
    return replace(around(model, shape), preprocess=replace(preprocess, straighten=Straighten(background)))


CASES = [
    ("cnn", (1, 18, 16), 0, {"channels": 4, "head": "gap"}),
    ("cnn", (3, 16, 21), 255, {"channels": 4, "pooling": "stride", "head": "flatten"}),
    ("mlp", (2, 17, 16), 30, {"width": 6, "depth": 1}),
    ("resnet", (1, 16, 16), 0, {"width": 4, "shortcut": "pad"}),
]


@needs_host
@pytest.mark.parametrize(("template", "shape", "background", "genes"), CASES)
def test_code_does_what_pytorch_does(
    template: str, shape: tuple[int, ...], background: int, genes: dict[str, int | float | str | bool]
) -> None:
    net, rows = upright(template, shape, background, **genes), slanted(24, shape, background)
    assert not torch.allclose(
        net.scores(rows), replace(net, preprocess=around(nn.Flatten(), shape).preprocess).scores(rows)
    )
    agrees(net, rows=rows)
    made = verify(net, TARGETS["host"], rows, int8=quantize(net, rows))  # raises where an integer is another one
    assert made.numbers == "int8"


@needs_board
def test_a_board_needs_what_was_predicted() -> None:
    net, rows = upright("cnn", channels=4, head="gap"), slanted(8, (1, 18, 16), 0)
    for int8 in (None, quantize(net, rows)):
        made = verify(net, TARGETS["cortex-m4"], rows, int8=int8)
        assert made.library == made.predicted_library
        assert made.code == pytest.approx(made.predicted_code, rel=0.03)
        assert made.stack == pytest.approx(made.predicted_stack, abs=48)
        assert made.instructions == pytest.approx(made.predicted_instructions, rel=0.1)


@needs_host
@pytest.mark.parametrize("int8", [False, True])
def test_the_code_compiles_without_a_warning(int8: bool, tmp_path: Path) -> None:
    net, rows = upright("cnn", channels=4), slanted(24, (1, 18, 16), 0)
    files = generate(net, name="net", rows=rows[:3], int8=quantize(net, rows) if int8 else None).files
    assert "needs_shifts_with_a_sign" in files["net.c"]
    built(files, tmp_path / "c", name="net", flags=["-O2"])


def test_an_image_takes_room_beside_the_input() -> None:
    net = upright("mlp", width=2, depth=1)
    plain = replace(net, preprocess=around(nn.Flatten(), (1, 18, 16)).preprocess)
    sizes = [generate(one, name="net", options=Options()).layout.plan.bytes for one in (net, plain)]
    assert sizes[0] >= 18 * 16 > sizes[1]


def test_the_model_of_the_code_sees_the_same_image() -> None:
    net, rows = upright("cnn", channels=4), slanted(12, (1, 18, 16), 0)
    program = build(net.model, net.preprocess)
    assert program.image is not program.input
    assert not program.quantized
    with torch.no_grad():
        assert torch.allclose(evaluate(program, rows), net.scores(rows), atol=1e-4)


def test_the_graph_puts_images_upright_too(tmp_path: Path) -> None:
    net, rows = upright("cnn", (3, 16, 21), 255, channels=4), slanted(12, (3, 16, 21), 255)
    path = export_onnx(net, tmp_path / "net.onnx", rows=rows)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for part in (rows, rows[:1]):
        found = torch.from_numpy(session.run(["scores"], {"x": part.float().numpy()})[0])
        assert torch.allclose(found, net.scores(part), rtol=1e-4, atol=1e-4)


def test_integers_of_a_graph_begin_behind_what_puts_images_upright() -> None:
    net, rows = upright("cnn", channels=4), slanted(40, (1, 18, 16), 0)
    whole = quantized(onnx_graph(net), rows.float())
    nodes = [node.op_type for node in whole.graph.node]
    assert {"QuantizeLinear", "GatherElements"} <= set(nodes)
    assert nodes.index("QuantizeLinear") > max(at for at, name in enumerate(nodes) if name == "GatherElements")
