"""Labels that are each on or off (multilabel): through data, training, scores, files, code and the estimator."""

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
from sklearn import metrics as sklearn
from torch.nn import functional as F

import steerage
from steerage.cli.guard import run
from steerage.data import dataset_from_arrays, load_dataset
from steerage.data.inspect import inspect_data
from steerage.data.objective import with_objective
from steerage.errors import BadArgument, BadData
from steerage.estimator import SteerageClassifier
from steerage.export.c import generate, verify
from steerage.export.c.toolchain import TARGETS, compiler
from steerage.training.evaluate import evaluate
from steerage.training.fit import loss_of
from steerage.training.measure import telling_rows
from tasks import perceptron

ROWS = 200
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 6))
Y = np.stack([X[:, 0] > 0, X[:, 1] + X[:, 2] > 0.8, X[:, 3] > -0.5], axis=1).astype(int)
NAMES = ["hot", "wet", "loud"]


def table(folder: Path, y: np.ndarray = Y, names: list[str] = NAMES) -> Path:
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(**dict(zip(names, y.T, strict=True)))
    frame.to_csv(folder / "alarms.csv", index=False)
    return folder / "alarms.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``alarms.csv`` and a finished run for its three labels, by F1."""
    folder = tmp_path_factory.mktemp("labels")
    words = ["search", table(folder), "--target", ",".join(NAMES), "--max-params", 400, "--trials", 1, "--epochs", 10]
    words += ["--metric", "f1", "--template", "mlp", "--out", folder / "run", "--quiet"]
    assert run([str(word) for word in words], started=time.monotonic()) == 0
    return folder


@pytest.mark.parametrize("y", [Y, Y.astype(bool), np.where(Y, "True", "false")], ids=["numbers", "bools", "text"])
def test_columns_that_are_on_or_off_are_labels(y: np.ndarray, tmp_path: Path) -> None:
    data = load_dataset(str(table(tmp_path, y)), target="hot,wet,loud")
    assert (data.spec.task, data.spec.outputs, data.classes) == ("multilabel", 3, tuple(NAMES))
    assert data.y.dtype == torch.float32 and set(data.y.unique().tolist()) == {0.0, 1.0}
    assert torch.cat([data.y, data.y_test]).sum(0).tolist() == Y.sum(0).tolist()
    assert dataset_from_arrays(X, Y).spec == data.spec


def test_numbers_among_them_make_all_of_them_numbers(tmp_path: Path) -> None:
    y = np.concatenate([Y[:, :2], RNG.integers(0, 9, (ROWS, 1))], axis=1)
    assert load_dataset(str(table(tmp_path, y)), target="hot,wet,loud").spec.task == "regression"
    assert load_dataset(str(table(tmp_path)), target="hot,wet,loud", task="regression").spec.task == "regression"


def test_one_hot_labels_are_labels_only_when_told_so() -> None:
    y = np.eye(3)[np.arange(ROWS) % 3]
    with pytest.raises(BadData, match="or say multilabel"):
        dataset_from_arrays(X, y)
    assert dataset_from_arrays(X, y, task="multilabel").spec.task == "multilabel"


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (Y[:, 0], "multilabel", "must be several columns for multilabel"),
        (np.where(Y, 1, 5), "multilabel", "target 'y0' must be 0 or 1, or true or false, got '5'"),
        (
            np.stack([Y[:, 0], Y[:, 1], np.ones(ROWS)], 1),
            None,
            "target 'y2' must be 1 in some rows and 0 in others, got 1",
        ),
    ],
)
def test_labels_that_cannot_be_are_refused(y: np.ndarray, task: Any, message: str) -> None:
    with pytest.raises(BadData, match=message):
        dataset_from_arrays(X, y, task=task)


def test_the_loss_is_the_mean_cross_entropy_of_each_label() -> None:
    data, outputs = dataset_from_arrays(X, Y), torch.randn(10, 3)
    y, weights = data.y[:10], torch.rand(10)
    each = F.binary_cross_entropy(outputs.sigmoid(), y, reduction="none").mean(1)
    assert torch.allclose(loss_of(outputs, y, data, 0.0), each.mean())
    assert torch.allclose(loss_of(outputs, y, data, 0.0, weights), (weights * each).mean())


@pytest.mark.parametrize("weights", [None, torch.rand(160)], ids=["plain", "weighted"])
def test_scores_are_those_of_sklearn(weights: torch.Tensor | None) -> None:
    data, model = dataset_from_arrays(X, Y), perceptron(outputs=3)
    outputs, y = model(data.x).detach(), data.y
    on = (outputs > 0).int()
    scores = evaluate(model, data, data.x, y, weights)
    assert scores.error == pytest.approx(sklearn.hamming_loss(y, on, sample_weight=weights))

    def asked(metric: str) -> float:
        return evaluate(model, replace(data, metric=metric), data.x, y, weights).error

    assert 1 - asked("f1") == pytest.approx(sklearn.f1_score(y, on, average="macro", sample_weight=weights))
    assert 1 - asked("auroc") == pytest.approx(sklearn.roc_auc_score(y, outputs, sample_weight=weights))
    each = [sklearn.balanced_accuracy_score(y[:, at], on[:, at], sample_weight=weights) for at in range(3)]
    assert 1 - asked("balanced_error") == pytest.approx(np.mean(each))


def test_the_rarest_label_says_how_sure_a_mean_is() -> None:
    y = torch.stack([torch.arange(100) % 2, (torch.arange(100) < 4).long()], dim=1).float()
    assert telling_rows(y, 2) == telling_rows(y[:, 1].long(), 2) < telling_rows(y[:, 0].long(), 2)


def test_labels_are_not_balanced_by_classes() -> None:
    with pytest.raises(BadArgument, match="balance needs classes, and this is multilabel"):
        with_objective(dataset_from_arrays(X, Y), balanced=True)


def test_a_network_predicts_each_label(folder: Path) -> None:
    network = steerage.load(folder / "run/network")
    frame = pd.read_csv(folder / "alarms.csv")
    on, likely = network.predict(frame), network.predict_proba(frame)
    assert on.shape == likely.shape == (ROWS, 3) and on.dtype == np.int64
    assert ((likely > 0.5) == on).all() and not np.allclose(likely.sum(1), 1)
    assert (on == Y).mean() > 0.8


def test_eval_and_the_summary_count_wrong_labels(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", str(folder / "run"), str(folder / "alarms.csv"), "--json"]
    assert run(words, started=time.monotonic()) == 0
    result = json.loads(capsys.readouterr().out)
    summary = json.loads((folder / "run/summary.json").read_text())
    assert (summary["task"], summary["metric"]) == ("multilabel", "f1")
    assert result["error"] == pytest.approx(summary["error"]["test"])
    assert result["f1"] == pytest.approx(summary["f1"]["test"])


def test_code_gives_scores_of_labels_and_no_class(folder: Path) -> None:
    network = steerage.load(folder / "run/network")
    header = generate(network, name="alarms").files["alarms.h"]
    assert "Labels, each on where its score is positive:" in header and "1 = wet" in header
    assert "alarms_class" not in header and "alarms_scores" in header
    if compiler(TARGETS["host"]) is not None:
        rows = network.preprocess.encode(pd.read_csv(folder / "alarms.csv"))
        assert verify(network, TARGETS["host"], rows).difference < 1e-5


def test_a_look_counts_the_rows_of_each_label(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(folder / "alarms.csv")
    seen = inspect_data(source, target="hot,wet,loud")
    assert seen.task == "multilabel" and seen.classes == dict(zip(NAMES, Y.sum(0).tolist(), strict=True))
    assert run(["inspect", source, "--target", "hot,wet,loud"], started=time.monotonic()) == 0
    out = capsys.readouterr().out
    assert "multilabel (3 columns), 3 labels" in out and f"wet {100 * Y[:, 1].mean():.1f} %" in out


def test_the_classifier_takes_several_labels() -> None:
    model = SteerageClassifier(trials=1, epochs=3, template="mlp", random_state=0).fit(X, Y)
    assert model.predict(X[:5]).shape == model.predict_proba(X[:5]).shape == (5, 3)
    assert set(np.unique(model.predict(X))) <= {0, 1}
    assert 0 <= model.score(X, Y) <= 1
    with pytest.raises(BadArgument, match="class_weight is for one label per row"):
        SteerageClassifier(trials=1, epochs=1, class_weight="balanced").fit(X, Y)
