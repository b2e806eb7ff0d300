"""Runs in MLflow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, final

from steerage import events
from steerage.errors import BadArgument, BadBundle, MissingDependency
from steerage.listeners.figures import Figure, figures

CLOSE_SECONDS = 30.0  # that the end of a run waits for a server
KEPT = "mlflow.json"  # in the run's folder: by which a run that goes on is the same one there


@final
class MLflow:
    """Listener that writes what a run does into the MLflow server or store ``uri`` (http://..., sqlite:///mlflow.db).

    A run with its settings, the curves of ``TensorBoard``, the report, and a child for each trial, which has its
    hyperparameters and figures. Everything is sent by a thread, so that training does not wait for a server.
    Raises: MissingDependency without MLflow; BadArgument for a ``uri`` that MLflow does not take.
    """

    def __init__(self, uri: str, *, experiment: str = "steerage") -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise MissingDependency("it needs MLflow: pip install 'steerage-nn[mlflow]'") from error
        try:
            self._client = MlflowClient(tracking_uri=uri)
        except MlflowException as error:
            raise BadArgument(f"MLflow does not take {uri!r}: {str(error).partition('. ')[0]}") from error
        self.uri, self.experiment = uri, experiment
        self._queue: SimpleQueue[object] = SimpleQueue()  # of events; None ends the thread
        self._thread: Thread | None = None
        self._failure: Exception | None = None
        self._home = ""  # identity of the experiment in MLflow
        self._run: str | None = None  # of the run
        self._last: dict[str, int] = {}  # step of each curve

    def __call__(self, event: object) -> None:
        """Take in an event. Raises: what MLflow raised of an earlier one."""
        self._check()
        if self._thread is None:
            self._thread = Thread(target=self._send, daemon=True)
            self._thread.start()
        self._queue.put(event)

    def close(self) -> None:
        """Wait until everything is sent. Raises: TimeoutError where that takes too long; what MLflow raised."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                raise TimeoutError(f"{self.uri} did not answer for {CLOSE_SECONDS:g} seconds")
        self._thread, self._run = None, None
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _send(self) -> None:
        status = "KILLED"  # of a run that is stopped; it may go on later
        try:
            while (event := self._queue.get()) is not None:
                self._record(event)
                status = "FINISHED" if isinstance(event, events.RunFinished) else status
            if self._run is not None:
                self._client.set_terminated(self._run, status)
        except Exception as error:  # told in the thread of the run
            self._failure = error

    def _record(self, event: object) -> None:
        if isinstance(event, events.RunStarted):
            self._begin(event)
        if self._run is None:
            return
        new = [figure for figure in figures(event) if self._last.get(figure.name) != figure.step]
        self._last.update({figure.name: figure.step for figure in new})
        if new:
            self._client.log_batch(self._run, metrics=_metrics(new))
        if isinstance(event, events.TrialFinished):
            self._trial(event, self._run)
        elif isinstance(event, events.RunFinished):
            self._client.log_artifact(self._run, str(event.folder / "report.html"))

    def _begin(self, event: events.RunStarted) -> None:
        """Find the run that an earlier process began, or make one."""
        about = {"uri": self.uri, "experiment": self.experiment}
        self._last.clear()
        kept = _kept(event.folder)
        found = self._client.get_experiment_by_name(self.experiment)
        self._home = found.experiment_id if found is not None else self._client.create_experiment(self.experiment)
        if {**kept, **about} == kept and "run" in kept:
            self._run = str(kept["run"])
            self._client.update_run(self._run, status="RUNNING")
            return
        self._run = self._client.create_run(self._home, run_name=event.folder.name).info.run_id
        self._client.log_batch(self._run, params=_params(dict(_flat(event.settings))))
        from steerage import store  # which has arrays: not for those who only ask for help

        store.write_json(event.folder / KEPT, {**about, "run": self._run})

    def _trial(self, event: events.TrialFinished, parent: str) -> None:
        name, tags = f"trial {event.number}", {"mlflow.parentRunId": parent}
        child = self._client.create_run(self._home, run_name=name, tags=tags).info.run_id
        found = [Figure(name, value, event.number) for name, value in event.metrics.items()]
        found += [Figure("objective", event.error, event.number), Figure("seconds", event.seconds, event.number)]
        self._client.log_batch(child, metrics=_metrics(found), params=_params(event.values))
        self._client.set_terminated(child)


def _kept(folder: Path) -> dict[str, Any]:
    from steerage import store

    try:
        kept = store.read_json(folder / KEPT)
    except BadBundle:
        return {}
    return kept if isinstance(kept, dict) else {}


def _metrics(found: Sequence[Figure]) -> list[Any]:
    from mlflow.entities import Metric

    now = int(1000 * time.time())
    return [Metric(figure.name, float(figure.value), now, figure.step) for figure in found]


def _params(values: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in values.items()]


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings that were made, with nested names: ``budget.max_params``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", found) for inner, found in _flat(value))
        elif value is not None:
            yield name, value
