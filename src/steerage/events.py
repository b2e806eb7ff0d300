"""Frozen values that say what long work has just done; whoever runs it yields them, whoever shows it listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final


@final
@dataclass(frozen=True)
class RunStarted:
    """A run begins, or goes on; shown, not kept.

    ``title``: data and bounds in a line. ``settings``: what was asked, as in run.json. ``seconds``: what the run may
    take, None where that is not limited; ``used``: of them by earlier processes. ``target_std``: as in ``Dataset``.
    ``earlier``: what was logged before, as in events.jsonl.
    """

    folder: Path
    title: str
    settings: Mapping[str, Any]
    seconds: float | None
    used: float
    target_std: float | tuple[float, ...]
    earlier: Sequence[Mapping[str, Any]]


@final
@dataclass(frozen=True)
class RunFinished:
    """Everything is done and written; ``summary`` as in summary.json. Shown, not kept."""

    folder: Path
    summary: Mapping[str, Any]


@final
@dataclass(frozen=True)
class TrialStarted:
    """The training of a candidate begins; ``number`` is the same when an interrupted trial is run again,
    and when one that stopped goes on.

    ``repeats``: number of the trial whose candidate is trained again, with another seed; None for a new candidate.
    """

    number: int
    values: Mapping[str, int | float | str | bool]
    repeats: int | None = None


@final
@dataclass(frozen=True)
class TrialFinished:
    """A candidate is trained: what the search minimizes, and that of the best so far (both lower is better).

    ``metrics``: what else was measured, such as ``error`` (of validation), ``params`` and ``macs``. ``repeats``: as in
    ``TrialStarted``. ``best_number``: trial of the best candidate; ``best_error`` is the mean over its trainings, and
    rises where a new one is worse.
    """

    number: int
    values: Mapping[str, int | float | str | bool]
    error: float
    best_error: float
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    repeats: int | None = None
    best_number: int | None = None


@final
@dataclass(frozen=True)
class TrialStopped:
    """A candidate was among the worse two thirds at a rung, and its training rests; it may start again later.

    ``error``: what the search minimizes, at ``rung``, the share in (0, 1) of the training that it has had.
    """

    number: int
    values: Mapping[str, int | float | str | bool]
    error: float
    rung: float
    seconds: float


@final
@dataclass(frozen=True)
class TrialFailed:
    """A candidate could not be trained, and why; the search goes on."""

    number: int
    reason: str


@final
@dataclass(frozen=True)
class TrialLost:
    """Who trained a candidate, a worker or another driver, was lost, and why; the trial is tried once more."""

    number: int
    reason: str


@final
@dataclass(frozen=True)
class StorageAway:
    """The database of a shared study cannot be reached, and why; the search waits for it."""

    reason: str


@final
@dataclass(frozen=True)
class StorageBack:
    """It can be reached again after so many ``seconds``; the search goes on."""

    seconds: float


@final
@dataclass(frozen=True)
class RoundFinished:
    """Four more candidates are done, or the start; the cross-validated quality of the predictor, None if undefined.

    ``tau`` and ``spearman`` in [-1, 1], ``rmse`` in normal scores of the rank. ``coverage``: share of the held-out
    trials inside their predicted 80 % interval. ``gain``: by how much the next candidate is expected to lower the
    error. ``best_number``, ``best_error``: trial and error of the best candidate so far. ``held_out``: of up to 40
    trials that were held out, from the best to the worst, the share of trials that are better, in [0, 1]: as it is, as
    it was predicted, and the lower and the upper end of the predicted 80 % interval.
    """

    round: int
    trials: int
    tau: float | None
    spearman: float | None
    rmse: float | None
    best_error: float
    coverage: float | None = None
    gain: float | None = None
    best_number: int | None = None
    held_out: Sequence[tuple[float, float, float, float]] = ()


@final
@dataclass(frozen=True)
class FrontFound:
    """The search is over and has named the front of error and ``cost`` (params or macs), by rising cost.

    ``trials``: numbers of its candidates.
    """

    cost: str
    trials: Sequence[int]


@final
@dataclass(frozen=True)
class PhaseStarted:
    """A phase begins: baseline, sizing, search, promotion, distillation or teacher, refit; of one's own network local,
    absorption.

    ``ends``: in seconds of the run.
    """

    phase: str
    ends: float | None


@final
@dataclass(frozen=True)
class SizeChosen:
    """Nobody gave a budget, and validation chose one: what comes is inside it."""

    max_params: int


@final
@dataclass(frozen=True)
class Taught:
    """The winner has learnt from what so many ``networks`` and ``rounds`` of boosted trees tell of made-up rows.

    ``kept``: that was better on the validation rows.
    """

    networks: int
    rounds: int
    kept: bool


@final
@dataclass(frozen=True)
class TeacherTrained:
    """A larger network, of so many parameters, that may teach the winner what it sees in images.

    ``better``: than the winner by far, so that it does.
    """

    params: int
    better: bool


@final
@dataclass(frozen=True)
class NetworkTrained:
    """A network other than a trial is trained; its validation error and cost."""

    name: str
    error: float
    loss: float
    params: int
    dense_params: int
    macs: int


@final
@dataclass(frozen=True)
class NetworkEdited:
    """A step of grow-and-prune: active connections before and after it, and how many of them it grew; units alike.

    ``progress``: share of the training done, in [0, 1]. ``error``: of the network as it came to the step, on validation
    rows, in [0, 1] (regression: 1 - R²).
    """

    name: str
    progress: float
    before: int
    after: int
    grown: int
    units_before: int
    units_after: int
    error: float | None


@final
@dataclass(frozen=True)
class Training:
    """Sign of life from a training under way; shown, not kept."""

    name: str
    progress: float
    loss: float
