"""Signals go the whole way: looked at, synthesized with units that come and leave, judged, exported."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import steerage
from steerage.cli.guard import run
from steerage.growprune.compact import compact
from steerage.growprune.masks import weights


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words], started=time.monotonic())
    return (code, *capsys.readouterr())


def waves(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Slow and quick waves of any phase, on two channels of unlike units: (rows, 32, 2), channels last."""
    rng = np.random.default_rng(0)
    y = np.arange(rows) % 2
    phase, t = rng.uniform(0, 6, (rows, 1, 1)), np.arange(32)[None, :, None]
    x = np.sin(0.3 * (1 + y[:, None, None]) * t + phase) + 0.3 * rng.normal(size=(rows, 32, 2))
    return (x * [1.0, 50.0] + [0.0, 1000.0]).astype(np.float32), np.array(["slow", "quick"])[y]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``waves.npz``, and a finished run of ``synth`` on it."""
    folder = tmp_path_factory.mktemp("signals")
    x, y = waves()
    np.savez(folder / "waves.npz", x=x, y=y)
    words = ["synth", folder / "waves.npz", "--kind", "signal", "--max-params", 4000, "--scheme", "C"]
    words += ["--trials", 2, "--epochs", 16, "--out", folder / "run", "--quiet"]
    assert run([str(word) for word in words], started=time.monotonic()) == 0
    return folder


def test_a_run_delivers_a_network_inside_the_budget(folder: Path) -> None:
    summary = json.loads((folder / "run/summary.json").read_text())
    assert summary["params"] <= 4000
    assert summary["error"]["test"] < 0.25
    network = steerage.load(folder / "run/network")
    assert network.spec.kind == "signal" and network.spec.input_shape == (2, 32)
    x, y = waves()
    assert (network.predict(x) == y).mean() > 0.8
    assert (network.predict(x.transpose(0, 2, 1)) == network.predict(x)).all()


def test_its_channels_were_pruned_with_all_that_is_tied_to_them(folder: Path) -> None:
    network = steerage.load(folder / "run/network")
    again, _ = compact(network.model, network.spec.input_shape, masks=dict(network.masks))
    assert {n: w.shape for n, w in weights(again).items()} == {n: w.shape for n, w in weights(network.model).items()}
    assert sum(int(mask.sum()) for mask in network.masks.values()) <= 4000


def test_eval_needs_no_word_on_the_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "eval", folder / "run", folder / "waves.npz", "--json")
    summary = json.loads((folder / "run/summary.json").read_text())
    assert code == 0
    assert json.loads(out)["error"] == pytest.approx(summary["error"]["test"])


def test_it_has_a_form_in_c(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "export", folder / "run", "--to", "c", "--out", folder / "c")
    assert code == 0 and "RAM" in out
    assert "a signal of floats in the units of the training data, [2][32]" in (folder / "c/c.h").read_text()


def test_a_look_says_what_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "inspect", folder / "waves.npz", "--kind", "signal")
    assert code == 0
    assert out.splitlines()[0] == "waves: 200 signals; 160 to train, 40 to test (set aside)"
    assert "inputs of a network: 2 x 32" in out and "augmentation: shift 0.05, scale 0.1, jitter 0.05" in out


def test_templates_for_images_do_not_take_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--kind", "signal", "--template", "cnn", "--trials", 1, "--epochs", 1, "--out", folder / "other"]
    code, _, err = typed(capsys, "search", folder / "waves.npz", *words)
    assert code == 2
    assert "template cnn does not take signal data" in err


def test_a_network_for_signals_takes_no_others(folder: Path) -> None:
    network = steerage.load(folder / "run/network")
    with pytest.raises(steerage.SteerageError, match="signals must have shape"):
        network.predict(torch.zeros(3, 2, 31))
