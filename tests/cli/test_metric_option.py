"""``--metric`` and ``--balance``: what is minimized is what every place shows."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error

import steerage
from steerage.cli.guard import run
from steerage.data import load_dataset
from steerage.data.load import load_labelled
from tasks import clouds


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words], started=time.monotonic())
    return (code, *capsys.readouterr())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uneven classes in ``faults.csv``, and a finished run that balances them, by F1."""
    folder = tmp_path_factory.mktemp("objective")
    x, y = clouds(240)
    kept = (y < 2) | (np.arange(240) % 12 == 2)
    cells = zip(x[kept], y[kept], strict=True)
    rows = [",".join([*(f"{value:.4f}" for value in row), "abc"[code]]) for row, code in cells]
    (folder / "faults.csv").write_text("\n".join(["a,b,c,d,e,f,fault", *rows]) + "\n")
    words = ["search", folder / "faults.csv", "--metric", "f1", "--balance", "--trials", 3, "--epochs", 4]
    words += ["--out", folder / "run", "--quiet"]
    assert run([str(word) for word in words], started=time.monotonic()) == 0
    return folder


def test_the_summary_has_the_metric_beside_the_error(folder: Path) -> None:
    summary = json.loads((folder / "run/summary.json").read_text())
    assert summary["metric"] == "f1"
    assert 0 < summary["f1"]["test"] <= 1 and 0 <= summary["error"]["test"] < 1
    assert summary["baseline"]["f1"].keys() == {"validation", "test"}
    asked = json.loads((folder / "run/run.json").read_text())
    assert (asked["metric"], asked["balanced"]) == ("f1", True)


def test_trials_are_compared_by_the_metric(folder: Path) -> None:
    events = [json.loads(line) for line in (folder / "run/events.jsonl").read_text().splitlines()]
    network = steerage.load(folder / "run/network")
    trained = [event for event in events if event["event"] == "NetworkTrained" and event["name"] != "baseline"]
    assert isinstance(network.error["f1"], dict)
    assert any(1 - event["error"] == pytest.approx(network.error["f1"]["validation"]) for event in trained)


def test_eval_shows_the_metric_that_the_network_was_chosen_by(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "eval", folder / "run", folder / "faults.csv", "--json")
    summary = json.loads((folder / "run/summary.json").read_text())
    result = json.loads(out)
    assert code == 0
    assert result["f1"] == pytest.approx(summary["f1"]["test"])
    dataset = load_dataset(str(folder / "faults.csv"))
    network = steerage.load(folder / "run/network")
    x, y = load_labelled(
        str(folder / "faults.csv"),
        preprocess=network.preprocess,
        classes=network.classes,
        target_name="fault",
        task="classification",
    )
    assert y is not None and len(y) == len(dataset.y_test)
    assert result["f1"] == pytest.approx(f1_score(y, network.scores(x).argmax(1), average="macro"))


def test_eval_measures_another_metric_when_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "eval", folder / "run", folder / "faults.csv", "--metric", "balanced_error")
    assert code == 0
    assert out.startswith("error ") and "balanced error " in out and "F1" not in out


def test_tables_and_the_page_show_the_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--metric", "f1", "--balance", "--trials", 3, "--epochs", 4, "--out", folder / "run", "--quiet"]
    code, out, _ = typed(capsys, "search", folder / "faults.csv", *words)
    assert code == 0
    assert "validation F1" in out and "test F1" in out
    page = (folder / "run/report.html").read_text()
    assert "validation 1 - F1" in page and "test F1" in page


def test_another_metric_is_another_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--metric", "auroc", "--balance", "--trials", 3, "--epochs", 4, "--out", folder / "run", "--quiet"]
    code, _, err = typed(capsys, "search", folder / "faults.csv", *words)
    assert code == 2
    assert "metric" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["diabetes", "--metric", "f1"], "there is no metric 'f1' for regression; choose one of r2, rmse, mae"),
        (["diabetes", "--balance"], "balance needs classes"),
    ],
)
def test_metrics_of_other_tasks_are_refused(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = typed(capsys, "search", *words, "--trials", 1, "--epochs", 1, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert expected in err
    assert not (tmp_path / "run").exists()


def test_the_mean_absolute_error_is_in_the_units_of_the_target(tmp_path: Path) -> None:
    result = steerage.synthesize(
        "diabetes", trials=1, epochs=2, local=False, metric="mae", out=tmp_path / "run", template="mlp"
    )
    data = load_dataset("diabetes")
    values = result.network.model(data.x_test)[:, 0].detach()
    expected = data.target_std * mean_absolute_error(data.y_test, values)
    assert result.summary["mae"]["test"] == pytest.approx(expected, rel=1e-4)
    assert result.summary["metric"] == "mae" and {"r2", "rmse"} <= result.summary.keys()
