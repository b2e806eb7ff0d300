"""Networks in ONNX Runtime beside PyTorch: what is told, never how long it took."""

from __future__ import annotations

import pytest
import torch

from networks import network, pruned
from steerage.export import deployed, measured
from steerage.export.examples import example_rows
from steerage.export.graph import onnx_graph
from steerage.export.measured import in_turns, measure


@pytest.fixture(autouse=True)
def two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "ROUNDS", 2)


def test_float_integers_and_pytorch_are_timed_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pruned(network(regression=True))
    graph = onnx_graph(net)
    monkeypatch.setattr(measured, "onnx_graph", lambda network: graph)
    rows = example_rows(net.preprocess, 40, generator=torch.Generator().manual_seed(0))
    found = measure(net, rows, calibration=rows)
    assert (found.rows, found.agreement) == (40, 1.0)
    assert found.difference < 1e-4
    assert found.int8_agreement is not None and 0.9 < found.int8_agreement < 1.0
    assert list(found.latency) == ["onnxruntime", "int8", "pytorch"]
    plain = measure(net, rows)
    assert plain.int8_agreement is None
    assert list(plain.to_json()["latency"]) == ["onnxruntime", "pytorch"]
    assert [one.calls >= 5 for one in in_turns([net, net, net], rounds=1)] == [True] * 3


def test_a_deployed_module_takes_encoded_rows_and_lacks_dead_units() -> None:
    net = network(depth=1, width=32, taper=1.0, bins=0, skips=False)
    with torch.no_grad():
        net.model.get_parameter("net.output.weight")[:, 5:] = 0.0
    module = deployed(net)
    rows = example_rows(net.preprocess, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(module(rows), net.scores(rows), atol=1e-5)
    counts = [sum(one.numel() for one in part.parameters()) for part in (module, net.model)]
    assert counts[0] < counts[1] / 3
    assert not module.training
