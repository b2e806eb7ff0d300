"""What the phases of a synthesis share: the run, and one training that leaves its result in the run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from steerage import events, store
from steerage.cost.count import Cost
from steerage.errors import InfeasibleBudget, TrainingFailed
from steerage.growprune.choose import scheme_for
from steerage.growprune.resize import reshape_
from steerage.growprune.run import Edit
from steerage.growprune.schemes import Scheme
from steerage.search.shared_study import StudyAddress
from steerage.seeds import child_seed
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained, build, synthesize_candidate, validation_error
from steerage.synthesis.parcel import Parcel
from steerage.synthesis.plan import Plan
from steerage.synthesis.run_directory import RunDirectory
from steerage.synthesis.team import Team
from steerage.training.evaluate import Scores

# Phases whose networks may still be refused.
OF_CANDIDATES = ("baseline", "sizing", "promotion", "distillation", "teacher")
LEAST_SECONDS = 0.5  # of a training, however late it is


@dataclass(frozen=True)
class Run:
    """What every phase works with."""

    bench: Bench
    plan: Plan
    directory: RunDirectory
    seed: int
    emit: Callable[[object], None]
    team: Team = field(default_factory=Team)
    shared: StudyAddress | None = None  # where the trials are that other drivers see, too

    def begin(self, phase: str) -> None:
        """Say that ``phase`` begins, and when it must have ended, where the time decides that."""
        self.emit(events.PhaseStarted(phase, self.plan.ends(phase) if self.plan.effort.timed else None))


@dataclass(frozen=True)
class Finalist:
    """A trained candidate and the hyperparameters it was built from."""

    name: str
    values: Values
    trained: Trained


def trained_in(
    run: Run,
    name: str,
    values: Values,
    *,
    phase: str,
    seconds: float | None,
    epochs: int | None = None,
    scheme: Scheme | None,
    announce: bool = True,
    **options: Any,
) -> Finalist:
    """A training outside the search: found finished in the run directory, gone on with, or begun.

    Raises: TrainingFailed, also for one that a worker tried before.
    """
    folder = run.directory.candidates if phase in OF_CANDIDATES else run.directory.local
    done = folder / f"{name}.done"
    kept = recall(run.bench, done, name)
    if kept is not None:
        return kept
    if name in run.team.failed:
        raise TrainingFailed(run.team.failed[name])
    if announce:
        run.begin(phase)
    trained = train_into(
        folder,
        name,
        run.bench,
        values,
        seed=child_seed(run.seed, name),
        seconds=seconds,
        epochs=None if run.plan.effort.timed else epochs or run.plan.epochs(phase),
        scheme=scheme,
        **options,
    )
    announce_trained(run, name, trained)
    return Finalist(name, values, trained)


def train_into(folder: Path, name: str, bench: Bench, values: Values, **options: Any) -> Trained:
    """A training that is kept as ``name`` in ``folder``; the options are those of ``synthesize_candidate``."""
    checkpoint = folder / f"{name}.state"
    # With rows of its own it learns from the validation rows, which say nothing about it any more.
    watch = None if "rows" in options else validation_error(bench)
    trained = synthesize_candidate(bench, values, name=name, checkpoint=checkpoint, **({"watch": watch} | options))
    remember(folder / f"{name}.done", values, trained)
    for leftover in (checkpoint, store.previous(checkpoint)):
        leftover.unlink(missing_ok=True)
    return trained


def train_apart(
    bench: Bench | Parcel,
    folder: Path,
    name: str,
    values: Values,
    ends: float | None,
    shares: float,
    most: float,
    options: Mapping[str, Any],
) -> None:
    """``train_into`` in a worker, in one of the ``shares`` of the time that it finds left until ``ends``, ``most``
    seconds at most.

    Raises: TrainingFailed.
    """
    bench = bench.bench if isinstance(bench, Parcel) else bench
    seconds = None if ends is None else min(most, max(LEAST_SECONDS, (ends - bench.clock()) / shares))
    try:
        train_into(folder, name, bench, values, seconds=seconds, **options)
    except InfeasibleBudget as error:
        raise TrainingFailed(f"the candidate cannot be pruned so far: {error}") from error


def announce_trained(run: Run, name: str, trained: Trained) -> None:
    """Say what a training outside the search came to."""
    for edit in trained.edits:
        run.emit(events.NetworkEdited(name, *astuple(edit)))
    scores, cost = trained.scores, trained.cost
    run.emit(events.NetworkTrained(name, scores.error, scores.loss, cost.params, cost.dense_params, cost.macs))
    run.directory.heartbeat(run.bench.clock)


def remember(path: Path, values: Values, trained: Trained) -> None:
    """Keep a trained network of the template's shapes."""
    tree = {
        "values": dict(values),
        "model": dict(trained.model.state_dict()),
        "masks": dict(trained.masks),
        "scores": list(astuple(trained.scores)),
        "cost": trained.cost.to_json(),
        "edits": [list(astuple(edit)) for edit in trained.edits],
        "epochs": trained.epochs,
        "seconds": trained.seconds,
    }
    store.save_tree(path, tree)


def recall(bench: Bench, path: Path, name: str) -> Finalist | None:
    """What ``remember`` kept; None where there is no such file, and with a warning where it is damaged."""
    tree = store.load_tree_if_whole(path)
    if tree is None:
        return None
    model = build(bench, tree["values"], 0)
    reshape_(model, {name: tensor.shape for name, tensor in tree["model"].items()})
    model.load_state_dict(tree["model"])
    trained = Trained(
        model=model,
        masks=dict(tree["masks"]),
        scores=Scores(*tree["scores"]),
        cost=Cost(**tree["cost"]),
        edits=tuple(Edit(*edit) for edit in tree["edits"]),
        epochs=float(tree["epochs"]),
        seconds=float(tree["seconds"]),
    )
    return Finalist(name, tree["values"], trained)


def best_so_far(run: Run) -> Finalist | None:
    """The network to keep if the run is stopped now: of the furthest phase that has one."""
    directory = run.directory
    places = [
        directory.local / "local.done",
        *sorted(directory.candidates.glob("promoted-*.done")),
        *sorted(directory.candidates.glob("taught-*.done")),
        *sorted(directory.candidates.glob("earlier-*.done")),
        directory.candidates / "best-trial.done",
    ]
    found = [recall(run.bench, path, path.stem) for path in places]
    return min(
        (one for one in found if one is not None), key=lambda finalist: finalist.trained.scores.objective, default=None
    )


def left(run: Run, ends: float, shares: float) -> float | None:
    """Seconds for the next of ``shares`` trainings that must be over at ``ends``; None when epochs are counted."""
    if not run.plan.effort.timed:
        return None
    return max(LEAST_SECONDS, (ends - run.bench.clock()) / shares)


def scheme_of(run: Run, values: Values) -> Scheme:
    """The scheme that the plan names, for the candidate ``values``."""
    bench = run.bench
    model, shape = build(bench, values, 0), bench.dataset.spec.input_shape
    return scheme_for(run.plan.scheme, model, bench.budget, shape, price=bench.price)
