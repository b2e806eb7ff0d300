"""``--log KIND:WHERE``: who else is told what a run does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from steerage.errors import BadArgument
from steerage.listeners import Listener, MLflow, TensorBoard

KINDS: Mapping[str, Callable[[str], Listener]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def listeners_for(logs: Sequence[str]) -> list[Listener]:
    """A listener for each of ``logs``, as they were typed.

    Raises: BadArgument for another kind, or a place that is none; MissingDependency.
    """
    return [_listener(text) for text in logs]


def _listener(text: str) -> Listener:
    kind, _, where = text.partition(":")
    if kind not in KINDS or not where:
        raise BadArgument(f"--log must be tensorboard:FOLDER or mlflow:URI, got {text!r}")
    return KINDS[kind](where)
