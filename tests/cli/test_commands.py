from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from torch import nn

import steerage
from steerage.cli.guard import run
from steerage.errors import SteerageError

pytestmark = pytest.mark.filterwarnings("default")

Type = Callable[..., tuple[int, str, str]]
NET = """
from torch import nn
def Net():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
def Narrow():
    return nn.Linear(7, 3)
def Needy(width):
    return nn.Linear(4, width)
def Number():
    return 3
"""


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command line; (exit code, stdout, stderr)."""

    def typed(*argv: object) -> tuple[int, str, str]:
        code = run([str(word) for word in argv], started=time.monotonic())
        return (code, *capsys.readouterr())

    return typed


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short finished run of ``synth``."""
    folder = tmp_path_factory.mktemp("runs") / "iris"
    words = ["synth", "iris", "--trials", "3", "--epochs", "4", "--max-params", "300", "--out", str(folder), "--quiet"]
    assert run(words, started=time.monotonic()) == 0
    return folder


@pytest.fixture
def net(tmp_path: Path) -> Path:
    file = tmp_path / "my_model.py"
    file.write_text(NET)
    return file


def test_a_finished_run_is_shown_again_and_says_so(command: Type, iris: Path) -> None:
    words = ["synth", "iris", "--trials", 3, "--epochs", 4, "--max-params", 300, "--out", iris]
    code, out, err = command(*words)
    assert code == 0
    assert "budget: at most 300 parameters, kept" in out
    assert "plain baseline  after search  delivered" in out
    assert f"steerage eval {iris}/network iris" in out
    assert "nothing was left to do" in err


def test_json_is_the_summary_and_nothing_else(command: Type, iris: Path) -> None:
    words = ["synth", "iris", "--trials", 3, "--epochs", 4, "--max-params", 300, "--out", iris, "--json", "--quiet"]
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((iris / "summary.json").read_text())
    assert json.loads(out)["params"] <= 300


def test_the_run_remembers_its_command(iris: Path) -> None:
    assert json.loads((iris / "run.json").read_text())["command"].startswith("steerage synth iris --trials 3 ")


def test_eval_measures_the_test_rows_that_the_run_has_set_aside(command: Type, iris: Path) -> None:
    code, out, err = command("eval", iris, "iris", "--json")
    assert (code, err) == (0, "")
    x, y = load_iris(as_frame=True, return_X_y=True)
    _, x_test, _, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    names = load_iris().target_names
    wrong = (steerage.load(iris / "network").predict(x_test) != names[y_test]).mean()
    summary = json.loads((iris / "summary.json").read_text())
    assert json.loads(out) == {
        "task": "classification",
        "part": "test",
        "rows": 30,
        "error": pytest.approx(summary["error"]["test"]),
    }
    assert wrong == pytest.approx(summary["error"]["test"])


def test_eval_in_words_names_rows_and_data(command: Type, iris: Path) -> None:
    code, out, _ = command("eval", iris / "network", "iris", "--part", "all")
    assert code == 0
    assert out.startswith("error ")
    assert out.endswith(" % on 150 rows of iris\n")


def test_eval_of_regression_has_r2_and_rmse(command: Type, tmp_path: Path) -> None:
    words = ["--trials", 1, "--epochs", 2, "--out", tmp_path / "run", "--quiet", "--json"]
    code, out, _ = command("search", "diabetes", *words)
    assert code == 0
    summary = json.loads(out)
    code, out, _ = command("eval", tmp_path / "run", "diabetes", "--json")
    result = json.loads(out)
    assert (code, result["rows"]) == (0, 89)
    assert result["r2"] == pytest.approx(summary["r2"]["test"], rel=1e-4, abs=1e-4)
    assert result["rmse"] == pytest.approx(summary["rmse"]["test"], rel=1e-4)
    code, out, _ = command("search", "diabetes", *words[:-1])  # finished, so this only shows it
    assert "validation R²  parameters  main hyperparameters\ntrial 0 " in out
    assert f"ranking: {tmp_path / 'run' / 'ranking.csv'}\n" in out
    words[1] = 2
    code, out, err = command("search", "diabetes", *words[:-2])  # with more trials it goes on
    assert (code, "\ntrial 1 " in out, "nothing was left to do" in err) == (0, True, False)


def test_export_writes_beside_the_network(command: Type, iris: Path) -> None:
    code, out, _ = command("export", iris, "--to", "onnx")
    assert code == 0
    assert (iris / "network.onnx").is_file()
    assert out.startswith(f"{iris}/network.onnx: ")


def test_report_is_written_anew(command: Type, iris: Path) -> None:
    (iris / "report.html").unlink()
    assert command("report", iris)[:2] == (0, f"{iris}/report.html\n")
    assert (iris / "report.html").is_file()


def test_refine_of_a_users_file_needs_that_file_again(command: Type, net: Path, tmp_path: Path) -> None:
    words = ["iris", "--max-params", 90, "--epochs", 3, "--out", tmp_path / "run", "--quiet"]
    code, out, err = command("refine", f"{net}:Net", *words)
    assert (code, err) == (0, "")
    assert f"--factory {net}:Net" in out
    code, _, err = command("eval", tmp_path / "run", "iris")
    assert (code, err.count("\n")) == (2, 1)
    assert re.search(r"; add --factory \S+my_model\.py:Net", err)  # in the middle, a long path is shortened
    assert command("eval", tmp_path / "run", "iris", "--factory", f"{net}:Net")[0] == 0


def test_refine_finds_the_smallest_and_all_sizes(command: Type, net: Path, tmp_path: Path) -> None:
    words = ["iris", "--max-loss", "5", "--front", "--scheme", "B", "--epochs", "15", "--out", tmp_path / "run"]
    code, out, err = command("refine", f"{net}:Net", *words)
    assert code == 0, err
    assert "all sizes that nobody beats" in out and "front/01" in out
    code, out, err = command("eval", tmp_path / "run" / "front" / "01", "iris", "--factory", f"{net}:Net")
    assert code == 0 and "error" in out


def test_refine_of_a_bundle_stays_a_network_of_its_template(command: Type, iris: Path, tmp_path: Path) -> None:
    words = ["iris", "--max-params", 250, "--epochs", 3, "--out", tmp_path / "run", "--quiet"]
    code, out, err = command("refine", iris, *words)
    assert (code, err) == (0, "")
    assert "--factory" not in out
    assert command("eval", tmp_path / "run", "iris")[0] == 0


def exported(model: nn.Module, width: int, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model.eval(), (torch.zeros(2, width),)), path)
    return path


def test_refine_of_an_exported_program_needs_no_code_afterwards(command: Type, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    file = exported(model, 4, tmp_path / "net.pt2")
    words = ["iris", "--max-params", 70, "--epochs", 3, "--out", tmp_path / "run", "--quiet", "--json"]
    code, out, err = command("refine", file, *words)
    assert (code, err) == (0, "")
    assert 0 < json.loads(out)["params"] <= 70
    file.unlink()
    code, out, _ = command("eval", tmp_path / "run", "iris", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 30)
    assert command("export", tmp_path / "run", "--to", "onnx")[0] == 0
    network = steerage.load(tmp_path / "run" / "network")
    assert len(network.predict(load_iris().data[:5])) == 5
    again = ["iris", "--max-params", 50, "--epochs", 2, "--out", tmp_path / "again", "--quiet"]
    assert command("refine", tmp_path / "run", *again)[0] == 0
    assert steerage.load(tmp_path / "again" / "network").cost.params <= 50


@pytest.mark.parametrize(
    ("width", "outputs", "message"),
    [
        (7, 3, "net.pt2 takes inputs of shape (7,), and the data has inputs of shape (4,)"),
        (4, 2, "net.pt2 has 2 outputs, and the data needs 3"),
    ],
)
def test_an_exported_program_for_other_data_is_refused_in_one_line(
    width: int, outputs: int, message: str, command: Type, tmp_path: Path
) -> None:
    file = exported(nn.Linear(width, outputs), width, tmp_path / "net.pt2")
    code, out, err = command("refine", file, "iris", "--max-params", 9, "--out", tmp_path / "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "run").exists()


def test_a_stop_becomes_one_line_and_its_exit_code(
    command: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **options: Any) -> None:
        raise steerage.Interrupted(tmp_path / "run", "the best so far is kept")

    monkeypatch.setattr("steerage.synthesis.main.synthesize", interrupted)
    code, out, err = command("synth", "iris", "--out", tmp_path / "run")
    assert (code, out) == (130, "")
    assert err == "stopped; the best so far is kept; give the same command again to go on\n"


def test_the_end_of_a_call_is_told_from_a_stop(command: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def over(*args: Any, **options: Any) -> None:
        raise steerage.Interrupted(tmp_path / "run", "the best so far is kept", rests=True)

    monkeypatch.setattr("steerage.synthesis.main.synthesize", over)
    code, out, err = command("synth", "iris", "--epochs", "4", "--minutes", "1", "--out", tmp_path / "run")
    assert (code, out) == (3, "")
    assert err == "the minutes of this call are over; the best so far is kept; give the same command again to go on\n"


def test_options_reach_the_synthesis(command: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def fake(dataset: Any, **options: Any) -> SimpleNamespace:
        asked.update(options, dataset=dataset)
        return SimpleNamespace(summary={}, folder=tmp_path, network=SimpleNamespace(architecture=None))

    monkeypatch.setattr("steerage.synthesis.main.synthesize", fake)
    pd.DataFrame({"a": range(40), "fault": ["x", "y"] * 20, "b": range(40)}).to_csv(tmp_path / "t.csv")
    words = ["--target", "fault", "--task", "classification", "--max-params", "1.5M", "--max-macs", "20k"]
    words += ["--minutes", "0.5", "--trials", "7", "--seed", "3", "--template", "mlp", "--out", str(tmp_path / "run")]
    words += ["--fidelity", "full", "--jobs", "3", "--ahead", "4", "--ray", "auto"]
    assert command("search", tmp_path / "t.csv", *words)[0] == 0
    assert asked["budget"] == steerage.Budget(1_500_000, 20_000)
    assert asked["dataset"].target_name == "fault"
    wanted = {"minutes": 0.5, "trials": 7, "epochs": None, "seed": 3, "template": "mlp", "target": "fault"}
    assert {name: asked[name] for name in wanted} == wanted
    assert (asked["local"], asked["out"], asked["fidelity"]) == (False, tmp_path / "run", "full")
    assert (asked["jobs"], asked["ahead"], asked["ray"]) == (3, 4, "auto")
    assert command("synth", tmp_path / "t.csv")[0] == 0
    assert (asked["local"], asked["fidelity"]) == (True, "auto")
    assert (asked["jobs"], asked["ahead"], asked["ray"]) == ("auto", None, None)


def test_help_and_the_package_need_no_heavy_import() -> None:
    code = "import sys, steerage, steerage.cli.app; print({'torch', 'numpy', 'optuna', 'rich'} & {*sys.modules})"
    there = {**os.environ, "PYTHONPATH": str(Path(steerage.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=there)
    assert done.stdout == "set()\n"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(steerage, name) for name in steerage.__all__)
    assert set(steerage.__all__) <= set(dir(steerage))
    assert issubclass(steerage.Interrupted, SteerageError)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = steerage.nonsense
    assert steerage.GrowPrune.__name__ == "GrowPrune"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short search for a front."""
    folder = tmp_path_factory.mktemp("runs") / "front"
    words = ["search", "iris", "--pareto", "params", "--trials", "12", "--epochs", "8", "--out", str(folder), "--quiet"]
    assert run(words, started=time.monotonic()) == 0
    return folder


def test_a_front_is_printed_in_80_columns_with_its_networks(command: Type, front: Path) -> None:
    words = ["search", "iris", "--pareto", "params", "--trials", 12, "--epochs", 8, "--out", front]
    code, out, _ = command(*words)
    assert code == 0
    printed = out.splitlines()
    assert all(len(line) <= 80 for line in printed if str(front) not in line)
    assert "front of error and parameters, as the search has seen it:" in printed
    assert f"front:   {front / 'front.csv'}" in printed
    with (front / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [f"trial {row['trial']}" for row in rows] == [
        " ".join(line.split()[:2]) for line in printed if line.startswith("trial ")
    ]
    members = json.loads((front / "summary.json").read_text())["front"]
    assert [line.split()[0] for line in printed if line.startswith("front/")] == [one["path"] for one in members]


def test_each_network_of_a_front_can_be_measured_and_exported(command: Type, front: Path) -> None:
    for member in json.loads((front / "summary.json").read_text())["front"]:
        code, out, _ = command("eval", front / member["path"], "iris", "--json")
        assert (code, json.loads(out)["error"]) == (0, pytest.approx(member["error"]["test"]))
    assert command("export", front / "front" / "01", "--to", "onnx")[0] == 0
    assert (front / "front" / "01.onnx").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "iris", "--pareto", "flops"], "'flops' is not one of 'params', 'macs'"),
        (["synth", "iris", "--pareto", "params"], "No such option: --pareto"),
        (["refine", "runs/x", "iris", "--max-params", "9", "--pareto", "params"], "No such option: --pareto"),
    ],
)
def test_a_front_that_cannot_be_is_refused_in_one_line(command: Type, words: list[str], message: str) -> None:
    code, out, err = command(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_another_cost_on_the_folder_of_a_front_is_refused(command: Type, front: Path) -> None:
    words = ["search", "iris", "--trials", 12, "--epochs", 8, "--out", front]
    for extra, difference in (([], "pareto was params and is None"), (["--pareto", "macs"], "params and is macs")):
        code, _, err = command(*words, *extra)
        assert (code, difference in err) == (2, True)
