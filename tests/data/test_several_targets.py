"""Several numbers to predict at once: columns of a table or an array, through data, training, files and code."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

import steerage
from steerage.bundle import load_network, save_network
from steerage.cli.guard import run
from steerage.data import dataset_from_arrays, load_dataset
from steerage.data.inspect import inspect_data
from steerage.data.load import load_labelled
from steerage.errors import BadArgument, BadBundle, BadData
from steerage.estimator import SteerageRegressor
from steerage.export.c import generate, verify
from steerage.export.c.toolchain import TARGETS, compiler
from steerage.export.onnx import export_onnx
from steerage.nn.reduction import relevance
from steerage.training.evaluate import evaluate
from steerage.training.fit import loss_of
from tasks import perceptron

ROWS = 160
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 6))
Y = np.stack([100 + 20 * X[:, 0] + RNG.normal(size=ROWS), X[:, 1] - X[:, 2], 1e-3 * X[:, 3]], axis=1)


def table(folder: Path) -> Path:
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame.insert(2, "heat", Y[:, 0])
    frame["flow"], frame["drift"] = Y[:, 1], Y[:, 2]
    frame.to_csv(folder / "plant.csv", index=False)
    return folder / "plant.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``plant.csv`` and a finished run for three of its columns."""
    folder = tmp_path_factory.mktemp("several")
    words = ["synth", table(folder), "--target", "heat,flow,drift", "--max-params", 400, "--trials", 2, "--epochs", 12]
    words += ["--template", "mlp", "--out", folder / "run", "--quiet"]
    assert run([str(word) for word in words], started=time.monotonic()) == 0
    return folder


def test_each_target_is_standardized_by_its_training_rows(tmp_path: Path) -> None:
    data = load_dataset(str(table(tmp_path)), target="heat,flow,drift")
    assert (data.spec.task, data.spec.outputs, data.spec.input_shape) == ("regression", 3, (6,))
    assert data.target_name == "heat,flow,drift"
    assert torch.allclose(data.y.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(data.y.std(0, correction=0), torch.ones(3), atol=1e-5)
    known = np.concatenate([data.y, data.y_test]) * data.target_std + data.target_mean
    assert np.allclose(np.sort(known, axis=0), np.sort(Y, axis=0), rtol=1e-4, atol=1e-6)


def test_arrays_of_two_axes_are_several_targets(tmp_path: Path) -> None:
    np.savez(tmp_path / "plant.npz", x=X, y=Y)
    data, same = load_dataset(str(tmp_path / "plant.npz")), dataset_from_arrays(X, Y)
    assert data.spec == same.spec and data.spec.outputs == 3
    assert torch.equal(data.y, same.y)
    assert dataset_from_arrays(X, Y[:, :1]).y.ndim == 1


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        ("heat,nothing", None, "has no column 'nothing'"),
        ("heat,flow,heat", None, "must name each column once"),
        ("heat,flow", "classification", r"several targets \(heat, flow\) must be numbers"),
        ("a,b,heat,c,d,e,f,flow,drift", None, "a column besides its targets"),
    ],
)
def test_targets_that_cannot_be_are_refused(target: str, task: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=message):
        load_dataset(str(table(tmp_path)), target=target, task=task)


def test_text_among_several_targets_is_named(tmp_path: Path) -> None:
    file = table(tmp_path)
    frame = pd.read_csv(file)
    frame["kind"] = np.where(frame["a"] > 0, "up", "down")
    frame.to_csv(file, index=False)
    with pytest.raises(BadData, match="target 'kind' must be numbers"):
        load_dataset(str(file), target="heat,kind")


def test_one_hot_labels_are_still_refused() -> None:
    with pytest.raises(BadData, match="use argmax on one-hot labels"):
        dataset_from_arrays(X, np.eye(3)[np.arange(ROWS) % 3])


def test_a_column_whose_name_has_commas_is_one_column(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=[*"abcde", "x, y"])
    frame.to_csv(tmp_path / "odd.csv", index=False)
    assert load_dataset(str(tmp_path / "odd.csv"), target="x, y").spec.outputs == 1


def test_rows_that_lack_one_target_are_left_out() -> None:
    y = Y.copy()
    y[3, 1] = np.nan
    with pytest.warns(UserWarning, match="1 of 160 rows have no label in 'y0,y1,y2'"):
        data = dataset_from_arrays(X, y)
    assert len(data.y) + len(data.y_test) == ROWS - 1


def test_weights_of_rows_are_repetitions() -> None:
    repeats = np.arange(ROWS) % 3
    one = dataset_from_arrays(X, Y, weights=repeats, hold_out=False)
    many = dataset_from_arrays(
        np.repeat(X, repeats, axis=0), np.repeat(Y, repeats, axis=0), weights=np.ones(repeats.sum()), hold_out=False
    )
    assert one.fingerprint == many.fingerprint
    images = dataset_from_arrays(np.zeros((20, 4, 4)), Y[:20], weights=np.ones(20), hold_out=False)
    assert len(images.y) == 20


def test_scores_are_means_over_targets_as_sklearn_has_them() -> None:
    data, model = dataset_from_arrays(X, Y), perceptron(outputs=3)
    outputs, y = model(data.x).detach(), data.y
    scores = evaluate(model, data, data.x, y)
    assert scores.error == pytest.approx(1 - r2_score(y, outputs), rel=1e-5)
    assert scores.loss == pytest.approx(float((outputs - y).square().mean()), rel=1e-5)
    weights = torch.rand(len(y))
    weighted = evaluate(model, data, data.x, y, weights)
    assert weighted.error == pytest.approx(1 - r2_score(y, outputs, sample_weight=weights), rel=1e-5)
    for metric, of in (("mae", mean_absolute_error), ("rmse", root_mean_squared_error)):
        asked = evaluate(model, replace(data, metric=metric), data.x, y, weights).error
        assert asked == pytest.approx(of(y, outputs, sample_weight=weights), rel=1e-5)


def test_the_loss_is_the_mean_over_rows_and_targets() -> None:
    data, outputs = dataset_from_arrays(X, Y), torch.randn(10, 3)
    squared = (outputs - data.y[:10]).square()
    assert torch.allclose(loss_of(outputs, data.y[:10], data, 0.0), squared.mean())
    weights = torch.rand(10)
    expected = (weights * squared.mean(1)).mean()
    assert torch.allclose(loss_of(outputs, data.y[:10], data, 0.0, weights), expected)


def test_columns_are_relevant_to_any_target() -> None:
    share = relevance(torch.from_numpy(X), torch.from_numpy(Y))
    assert share[[4, 5]].max() < 0.1 < share[[0, 1, 2, 3]].min()
    assert torch.allclose(
        share, torch.stack([relevance(torch.from_numpy(X), one) for one in torch.from_numpy(Y).T]).mean(0)
    )


def test_a_network_predicts_all_targets_in_their_units(folder: Path) -> None:
    network = steerage.load(folder / "run/network")
    frame = pd.read_csv(folder / "plant.csv")
    predicted = network.predict(frame)
    assert predicted.shape == (ROWS, 3) and predicted.dtype == np.float64
    linear = LinearRegression().fit(X, Y).predict(X)
    assert np.corrcoef(predicted[:, 0], linear[:, 0])[0, 1] > 0.5
    assert abs(predicted[:, 0].mean() - 100) < 20 and abs(predicted[:, 2]).max() < 0.01
    summary = json.loads((folder / "run/summary.json").read_text())
    assert summary["params"] <= 400 and summary["rmse"]["test"] < 2


def test_eval_finds_the_columns_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", folder / "run", folder / "plant.csv", "--json"]
    assert run([str(word) for word in words], started=time.monotonic()) == 0
    result = json.loads(capsys.readouterr().out)
    network = steerage.load(folder / "run/network")
    x, y = load_labelled(
        str(folder / "plant.csv"),
        preprocess=network.preprocess,
        classes=(),
        target_name=network.target_name,
        task="regression",
    )
    assert y is not None and y.shape == (32, 3)
    assert result["r2"] == pytest.approx(r2_score(y, network.in_units(network.scores(x))), rel=1e-4)


def test_its_files_come_back_and_are_checked(folder: Path, tmp_path: Path) -> None:
    network = steerage.load(folder / "run/network")
    save_network(tmp_path / "copy", network)
    again = load_network(tmp_path / "copy")
    assert again.target_mean == network.target_mean and len(again.target_std) == 3  # type: ignore[arg-type]
    with pytest.raises(BadBundle, match="target_mean must be 3 numbers"):
        save_network(tmp_path / "bad", replace(network, target_mean=(1.0, 2.0)))


def test_onnx_and_c_give_all_targets_in_their_units(folder: Path, tmp_path: Path) -> None:
    network = steerage.load(folder / "run/network")
    assert export_onnx(network, tmp_path / "plant.onnx").is_file()  # compared with PyTorch before it appears
    files = generate(network, name="plant").files
    assert "2 = drift" in files["plant.h"] and "plant_value" not in files["plant.c"]
    assert "plant_class" not in files["plant.h"]
    if compiler(TARGETS["host"]) is not None:
        rows = network.preprocess.encode(pd.read_csv(folder / "plant.csv"))
        assert verify(network, TARGETS["host"], rows).difference < 1e-5


def test_a_look_sees_several_targets(folder: Path) -> None:
    seen = inspect_data(str(folder / "plant.csv"), target="heat,flow,drift")
    assert (seen.task, seen.why, seen.target) == ("regression", "3 columns", "heat,flow,drift")
    assert seen.findings == ()


def test_metrics_of_classes_are_refused() -> None:
    with pytest.raises(BadArgument, match="choose one of r2, rmse, mae"):
        steerage.synthesize(dataset_from_arrays(X, Y), metric="f1", trials=1, epochs=1)


def test_the_regressor_takes_several_targets() -> None:
    model = SteerageRegressor(trials=1, epochs=3, template="mlp", random_state=0).fit(X, Y)
    assert model.predict(X[:5]).shape == (5, 3)
    assert np.isfinite(model.score(X, Y))
