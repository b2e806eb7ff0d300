from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from steerage.errors import BadArgument
from steerage.nn import PiecewiseLinear
from steerage.nn.encoding import MAX_ROWS


def rows(n: int = 300) -> Tensor:
    """Columns: normal, binary, constant, mostly zero, three values."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(n, generator=generator)
    flags = (torch.rand(n, generator=generator) < 0.3).float()
    mostly_zero = torch.rand(n, generator=generator).sub(0.6).clamp_min(0.0)
    return torch.stack((normal, flags, torch.full((n,), 2.0), mostly_zero, torch.arange(n) % 3 - 1.0), dim=1)


def fitted(x: Tensor, bins: int = 8, seed: int = 0) -> PiecewiseLinear:
    encoding = PiecewiseLinear(x.shape[1], bins)
    encoding.fit_to(x, torch.zeros(len(x)), seed=seed)
    return encoding


def test_the_inputs_come_first_and_then_the_bins_of_each_feature() -> None:
    x = rows()
    encoding = fitted(x)
    y, edges = encoding(x), encoding.edges
    assert y.shape == (300, 5 * 9)
    assert torch.equal(y[:, :5], x)
    bin_2 = ((x[:, 0] - edges[0, 2]) / (edges[0, 3] - edges[0, 2])).clamp(0.0, 1.0)
    torch.testing.assert_close(y[:, 5 + 2], bin_2)
    mostly_zero = ((x[:, 3] - edges[3, 0]) / (edges[3, 1] - edges[3, 0])).clamp(0.0, 1.0)
    torch.testing.assert_close(y[:, 5 + 3 * 8], mostly_zero)


def test_edges_are_quantiles_of_the_training_rows() -> None:
    x = rows()[:, :1]
    counts = torch.histogram(x[:, 0], bins=fitted(x).edges[0]).hist
    assert counts.min() >= 36
    assert counts.max() <= 39


def test_bins_of_equal_edges_are_dead_and_give_zero() -> None:
    x = rows()
    encoding = fitted(x)
    live = encoding.live.view(5, 8)
    assert live.sum(dim=1).tolist()[:3] == [8, 0, 0]  # neither two values nor one need a bin
    assert 2 <= live[3].sum() < 8
    assert live[4].sum() == 2
    assert encoding(10.0 * x)[:, 5:][:, ~encoding.live].count_nonzero() == 0
    assert (encoding(x)[:, 5:][:, encoding.live] > 0).any(dim=0).all()


def test_stored_edges_are_those_of_live_bins() -> None:
    encoding = fitted(rows())
    live = encoding.live.view(5, 8).sum(dim=1)
    assert encoding.live_bins() == live.sum()
    assert encoding.stored_edges() == (live + (live > 0)).sum()
    assert PiecewiseLinear(5, 8).stored_edges() == 5 * 9


def test_a_bin_is_never_so_narrow_that_rounding_errors_matter() -> None:
    x = torch.cat((torch.linspace(0.0, 1e-5, 100), torch.linspace(1.0, 2.0, 100))).unsqueeze(1)
    encoding = fitted(x)
    widths = encoding.edges.diff(dim=1).flatten()[encoding.live]
    assert widths.min() > 5e-4


def test_a_fit_depends_on_the_seed_alone_and_travels_in_the_state() -> None:
    x = torch.randn(MAX_ROWS + 500, 2)
    first, state = fitted(x, seed=3), torch.get_rng_state()
    second, loaded = fitted(x, seed=3), PiecewiseLinear(2, 8)
    loaded.load_state_dict(first.state_dict())
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first(x), second(x))
    assert torch.equal(first(x), loaded(x))


def test_fewer_rows_than_bins_are_enough() -> None:
    encoding = fitted(torch.tensor([[0.0], [1.0], [3.0]]), bins=32)
    assert encoding.edges[0, :4].tolist() == [0.0, 1.0, 3.0, 3.0]
    assert encoding.live_bins() == 2


@pytest.mark.filterwarnings("ignore")  # those of the exporter itself
def test_onnx_gives_the_same_values(tmp_path: Path) -> None:
    x = rows()
    encoding = nn.Sequential(fitted(x)).eval()
    path = tmp_path / "encoding.onnx"
    torch.onnx.export(encoding, (x[:2],), path, dynamo=True, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert np.allclose(y, encoding(x).numpy(), atol=1e-5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(BadArgument, match="features=3, bins=0"):
        PiecewiseLinear(3, 0)
    with pytest.raises(BadArgument, match=r"\(n, 3\) with n >= 1, got \(5, 4\)"):
        PiecewiseLinear(3, 2).fit_to(torch.ones(5, 4), torch.ones(5), seed=0)
