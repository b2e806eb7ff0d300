"""Learning curves in the trials of a study: what each showed at its rungs, and what is expected of those that stopped.

A trial that stopped at a rung is PRUNED. One that goes on is a trial of its own, which resumes it (``RESUMES``) in the
same place, under the same number, and brings its curve along; finished trials cannot be changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from steerage.search import fidelity

CURVE = "curve"  # user attribute of a trial: its error at each rung
CONTINUES = "continues"  # user attribute of a trial that goes on: curve and seconds of the one that stopped


def curve_of(trial: FrozenTrial) -> dict[float, float]:
    """Errors by rung."""
    return {float(rung): float(error) for rung, error in trial.user_attrs.get(CURVE, {}).items()}


def is_stopped(trial: FrozenTrial) -> bool:
    """Whether ``trial`` stopped at a rung of its own, and can go on."""
    return trial.state == TrialState.PRUNED and bool(trial.user_attrs.get(CURVE))


def ended(trials: Iterable[FrozenTrial]) -> tuple[list[dict[float, float]], list[float]]:
    """Curves and last errors of those of ``trials`` that came to their end and were seen at every rung."""
    pairs = [
        (curve_of(one), float(one.value))
        for one in trials
        if one.state == TrialState.COMPLETE and one.value is not None and CURVE in one.user_attrs
    ]
    rungs = {rung for curve, _ in pairs for rung in curve}
    whole = [(curve, end) for curve, end in pairs if curve and len(curve) == len(rungs)]
    return [curve for curve, _ in whole], [end for _, end in whole]


def expected(trials: Sequence[FrozenTrial]) -> dict[int, float]:
    """By Optuna's number, of each of ``trials`` that stopped: the error that it would have had at its end."""
    curves, ends = ended(trials)
    found: dict[int, float] = {}
    for one in trials:
        if is_stopped(one):
            rung, value = max(curve_of(one).items())
            at_rung = [curve[rung] for curve in curves] if all(rung in curve for curve in curves) else []
            found[one.number] = float(fidelity.expected_ends([value], at_rung, ends if at_rung else [])[0])
    return found


def deserving(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of ``trials`` that stopped and are among the best third at their rung now, the best first."""
    found = []
    for one in trials:
        if is_stopped(one):
            rung, value = max(curve_of(one).items())
            if fidelity.goes_on(value, _seen(trials, rung, but=one)):
                found.append((value, one.number, one))
    return [one for _, _, one in sorted(found, key=lambda entry: entry[:2])]


def _seen(trials: Iterable[FrozenTrial], rung: float, *, but: FrozenTrial | None = None) -> list[float]:
    return [curve[rung] for one in trials if one is not but and rung in (curve := curve_of(one))]


@dataclass
class Judge:
    """What a training tells at each rung, and asks whether to stop there: ``judge(rung, error)``.

    ``rung``: the one whose ranking is trusted, None where the training is to come to its end, whatever it shows.
    ``seen``: the errors of the last others there. ``going_on``: it stopped before, and goes on from where it was.
    ``curve``: errors by rung so far.
    """

    rung: float | None = None
    seen: tuple[float, ...] = ()
    going_on: bool = False
    curve: dict[float, float] = field(default_factory=dict)

    def __call__(self, rung: float, error: float) -> bool:
        self.curve[rung] = error
        return rung == self.rung and not fidelity.goes_on(error, self.seen)


def judge_after(known: Sequence[FrozenTrial]) -> Judge:
    """Judge of a new candidate, ``known`` being the trials of others so far."""
    rung = fidelity.trusted_rung(*ended(known))
    return Judge() if rung is None else Judge(rung, tuple(_seen(known, rung)[-fidelity.RECENT :]))


def kept(curve: Mapping[float, float]) -> dict[str, float]:
    """``curve`` as a user attribute, whose keys are strings."""
    return {str(rung): error for rung, error in sorted(curve.items())}


def continuation(trial: FrozenTrial, seconds: float) -> dict[str, Any]:
    """User attribute of the trial that goes on with ``trial``, which took ``seconds`` so far."""
    return {CURVE: kept(curve_of(trial)), "seconds": seconds}
