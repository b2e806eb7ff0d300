"""What is sent to MLflow: to a store where it is installed, else to a stand-in for its client."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from listeners.samples import run
from steerage.errors import BadArgument, MissingDependency
from steerage.listeners import Listeners, MLflow, mlflow


class Refusal(Exception):
    """``MlflowException``."""


class Client:
    """``MlflowClient`` as far as it is used. A store is what its URI names."""

    stores: dict[str, dict[str, dict[str, Any]]] = {}  # noqa: RUF012

    def __init__(self, tracking_uri: str) -> None:
        if tracking_uri.startswith("htp:"):
            raise Refusal("unsupported URI 'htp:'. Supported are others.")
        self.runs = self.stores.setdefault(tracking_uri, {})

    def get_experiment_by_name(self, name: str) -> Any:
        return None

    def create_experiment(self, name: str) -> str:
        return "7"

    def create_run(self, experiment: str, *, run_name: str, tags: dict[str, str] | None = None) -> Any:
        identity = f"run-{len(self.runs)}"
        self.runs[identity] = {"name": run_name, "tags": tags or {}, "metrics": [], "params": {}, "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=identity))

    def update_run(self, run_id: str, *, status: str) -> None:
        self.runs[run_id]["status"] = status

    def log_batch(self, run_id: str, *, metrics: Sequence[Any] = (), params: Sequence[Any] = ()) -> None:
        if "down" in self.runs[run_id]:
            raise Refusal("no answer")
        self.runs[run_id]["metrics"] += [(one.key, one.value, one.step) for one in metrics]
        self.runs[run_id]["params"] |= {one.key: one.value for one in params}

    def log_artifact(self, run_id: str, path: str) -> None:
        self.runs[run_id]["artifact"] = Path(path).name

    def set_terminated(self, run_id: str, status: str = "FINISHED") -> None:
        self.runs[run_id]["status"] = status


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    package: Any = ModuleType("mlflow")
    exceptions: Any = ModuleType("mlflow.exceptions")
    entities: Any = ModuleType("mlflow.entities")
    package.MlflowClient, exceptions.MlflowException = Client, Refusal
    entities.Metric = lambda key, value, timestamp, step: SimpleNamespace(key=key, value=value, step=step)
    entities.Param = lambda key, value: SimpleNamespace(key=key, value=value)
    for module in (package, exceptions, entities):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Client, "stores", {})
    return Client


def tell(listener: MLflow, folder: Path, *, until: int | None = None) -> None:
    for event in run(folder)[:until]:
        listener(event)
    listener.close()


def test_a_run_has_settings_curves_and_a_child_for_each_trial(stand_in: type[Client], tmp_path: Path) -> None:
    tell(MLflow("http://there"), tmp_path)
    whole, trial = stand_in.stores["http://there"].values()
    assert (whole["name"], whole["status"], whole["artifact"]) == (tmp_path.name, "FINISHED", "report.html")
    assert whole["params"]["budget.max_params"] == "1500" and "budget.max_macs" not in whole["params"]
    assert ("refit/loss", 0.3, 250) in whole["metrics"]
    assert trial["tags"] == {"mlflow.parentRunId": "run-0"} and trial["params"] == {"width": "8", "gate": "True"}
    assert ("error", 0.1, 0) in trial["metrics"] and trial["status"] == "FINISHED"


def test_a_run_that_goes_on_is_the_same_one_there(stand_in: type[Client], tmp_path: Path) -> None:
    tell(MLflow("http://there"), tmp_path, until=3)
    assert [one["status"] for one in stand_in.stores["http://there"].values()] == ["KILLED"]
    tell(MLflow("http://there"), tmp_path)
    assert [one["status"] for one in stand_in.stores["http://there"].values()] == ["FINISHED"] * 2
    tell(MLflow("http://elsewhere"), tmp_path)
    assert len(stand_in.stores["http://elsewhere"]) == 2
    assert json.loads((tmp_path / "mlflow.json").read_text())["uri"] == "http://elsewhere"


def test_a_server_that_goes_away_is_a_warning(stand_in: type[Client], tmp_path: Path) -> None:
    listener = MLflow("http://there")
    told = Listeners(listener)
    first, *others = run(tmp_path)
    told(first)
    while not stand_in.stores["http://there"]:
        pass  # it is sent by a thread
    stand_in.stores["http://there"]["run-0"]["down"] = True
    with pytest.warns(UserWarning, match="listener MLflow failed .Refusal: no answer"):
        for event in others:
            told(event)
        told.close()


def test_the_end_of_a_run_does_not_wait_for_ever(
    stand_in: type[Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow, "CLOSE_SECONDS", 0.01)
    listener = MLflow("http://there")
    monkeypatch.setattr(listener, "_record", lambda event: __import__("time").sleep(0.2))
    listener("event")
    with pytest.raises(TimeoutError, match="http://there did not answer"):
        listener.close()


def test_a_place_that_is_none_is_refused(stand_in: type[Client]) -> None:
    with pytest.raises(BadArgument, match=r"MLflow does not take 'htp://x': unsupported URI 'htp:'$"):
        MLflow("htp://x")


def test_without_the_package_one_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingDependency, match=r"pip install 'steerage-nn\[mlflow\]'"):
        MLflow("http://there")


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_what_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed (pip install 'steerage-nn[mlflow]')")
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)  # where a local store puts artifacts
    (tmp_path / "report.html").write_text("<html></html>")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tell(MLflow(uri), tmp_path)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("steerage")
    names = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert set(names) == {tmp_path.name, "trial 0"}
    assert names[tmp_path.name].data.metrics["predictor/tau"] == 0.5
    assert names["trial 0"].data.params["width"] == "8"
