"""What evaluates a candidate, in this process or another, and what comes of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from steerage.errors import TrainingFailed
from steerage.search import curves
from steerage.search.curves import Judge
from steerage.space import Values


@final
@dataclass(frozen=True)
class TrialOutcome:
    """Validation error of a trained candidate (lower is better), and whatever else is worth keeping.

    ``stopped_at``: the rung at which the training rests, and to which ``error`` belongs; None at its end.
    """

    error: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    stopped_at: float | None = None


Evaluate = Callable[[int, Values], TrialOutcome]


@final
@dataclass(frozen=True)
class InRungs:
    """What evaluates candidates and can rest at a rung: ``train(number, values, judge)``.

    It tells ``judge`` the error at each rung, a share of the training; where the answer is True, it keeps the training
    as it is and returns with ``stopped_at``. With ``judge.going_on`` it goes on from there to the end.
    """

    train: Callable[[int, Values, Judge], TrialOutcome]


@final
@dataclass(frozen=True)
class Ended:
    """How an evaluation ended: with an ``outcome``, or with a ``reason`` why there is none.

    ``curve``: errors by rung; ``seconds``: that it took where it ran.
    """

    outcome: TrialOutcome | None
    reason: str = ""
    curve: Mapping[float, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        outcome = self.outcome
        told = None if outcome is None else [outcome.error, dict(outcome.metrics), outcome.stopped_at]
        return {"outcome": told, "reason": self.reason, "curve": curves.kept(self.curve), "seconds": self.seconds}

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> Ended:
        outcome = None if told["outcome"] is None else TrialOutcome(*told["outcome"])
        curve = {float(rung): float(error) for rung, error in told["curve"].items()}
        return Ended(outcome, str(told["reason"]), curve, float(told["seconds"]))


def evaluated(evaluate: Evaluate | InRungs, number: int, values: Values, judge: Judge) -> Ended:
    """Evaluate one candidate."""
    began = time.monotonic()
    try:
        outcome = evaluate.train(number, values, judge) if isinstance(evaluate, InRungs) else evaluate(number, values)
        if not math.isfinite(outcome.error):
            raise TrainingFailed(
                f"validation error must be finite, got {outcome.error}; see the recipe's learning rate"
            )
    except TrainingFailed as failure:
        return Ended(None, str(failure), dict(judge.curve), time.monotonic() - began)
    return Ended(outcome, "", dict(judge.curve), time.monotonic() - began)
