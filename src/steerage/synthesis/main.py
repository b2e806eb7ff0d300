"""The whole synthesis: phases in order, resumable, with the best so far kept whenever it is stopped."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from steerage import events, store
from steerage.bundle import Network, load_network, save_network
from steerage.cost.budget import Budget
from steerage.cost.count import dense_cost
from steerage.cost.device import Device, in_milliseconds
from steerage.cost.device import device as device_of
from steerage.cost.latency import Latency
from steerage.data.dataset import Dataset, Kind, Task
from steerage.data.load import load_dataset
from steerage.data.objective import with_objective
from steerage.data.straightened import is_straightened, straightened
from steerage.errors import BadArgument, ExportMismatch, SteerageError, TrainingFailed, UnsupportedLayer
from steerage.execute import RayExecutor, WorkerPool
from steerage.growprune.schemes import checked_name
from steerage.listeners import Listener, Listeners
from steerage.listeners.notebook import of_notebook
from steerage.metrics import metric_named
from steerage.report.page import write_report
from steerage.search.shared_study import StudyAddress, shared_study
from steerage.synthesis import distillation, image_teacher, local_search, phases, promotion, summary
from steerage.synthesis import pareto as fronts
from steerage.synthesis.analysed import analysed
from steerage.synthesis.as_network import as_network
from steerage.synthesis.candidate import MAX_EXPANSION, Bench, Trained, compacted
from steerage.synthesis.clock import RunClock, Stopwatch
from steerage.synthesis.feasible import check_feasible, check_latency
from steerage.synthesis.latency import RUNTIME, LatencyBound
from steerage.synthesis.own_network import OwnNetwork
from steerage.synthesis.plan import Effort, Plan, effort_from
from steerage.synthesis.run_directory import RunDirectory, versions
from steerage.synthesis.sizing import with_size
from steerage.synthesis.stage import Finalist, Run, best_so_far
from steerage.synthesis.teacher import teacher_of
from steerage.synthesis.team import Jobs, Team, jobs_for
from steerage.synthesis.threads import threads_for
from steerage.synthesis.trajectory import Wanted
from steerage.synthesis.trial import get_ready
from steerage.synthesis.usual import usual_budget
from steerage.templates.like import published_like
from steerage.templates.registry import load_template, template_for
from steerage.templates.template import Template
from steerage.training.split import validation_split

# What all runs that share a study must have in common, by the names of run.json.
SHARED = (
    *("fingerprint", "target", "task", "metric", "balanced", "straighten", "template", "depth", "like"),
    *("max_expansion", "budget", "device", "int8", "pareto", "epochs", "seed"),
)
Fidelity = Literal["auto", "full"]


@dataclass(frozen=True)
class Result:
    """What a synthesis delivers: the trained network, the summary (as in summary.json), and the run's folder."""

    network: Network
    summary: dict[str, Any]
    folder: Path


class Interrupted(SteerageError):
    """The run was stopped; ``best`` says what was kept, ``folder`` where it goes on.

    ``rests``: by itself, since the minutes of this call are over.
    """

    def __init__(self, folder: Path, best: str, *, rests: bool = False) -> None:
        why = "the minutes of this call are over" if rests else "stopped"
        super().__init__(f"{why}; {best}; give the same command again to go on")
        self.folder, self.best, self.rests = folder, best, rests


class _CallIsOver(KeyboardInterrupt):
    """The minutes that one call of a longer run may take have passed."""


def synthesize(
    data: str | Path | Dataset,
    *,
    budget: Budget | None = None,
    minutes: float | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    template: str | Template | None = None,
    target: str | None = None,
    task: Task | None = None,
    out: str | Path | None = None,
    listener: Listener | Iterable[Listener] | None = None,
    local: bool = True,
    started: float | None = None,
    command: str = "",
    patience: int | None = None,
    fidelity: Fidelity = "auto",
    pareto: str | None = None,
    max_loss: float | None = None,
    front: bool = False,
    scheme: str = "auto",
    like: str | None = None,
    depth: int | None = None,
    max_expansion: float | None = None,
    distill: bool = True,
    device: str | Device | None = None,
    int8: bool = False,
    metric: str | None = None,
    balanced: bool = False,
    kind: Kind | None = None,
    group: str | None = None,
    straighten: bool | None = None,
    jobs: Jobs = 1,
    ahead: int | None = None,
    executor: Executor | None = None,
    ray: str | None = None,
    max_latency_ms: float | None = None,
    storage: str | None = None,
    study: str | None = None,
) -> Result:
    """Synthesize a network for ``data`` inside ``budget``, in about ``minutes`` (10 unless something else is given).

    Without a ``budget`` the size of a network for a table is chosen by validation, below ``usual_budget``, unless
    ``like``, ``device``, ``max_loss``, ``front`` or ``local=False`` say what is wanted; ``Budget()`` bounds nothing.

    With ``epochs`` and ``minutes`` the epochs say what is done, and the call ends after the minutes all the same: with
    Interrupted, to be called again until it returns.

    ``data``: a source as ``steerage.data.load_dataset`` takes it, or a Dataset. ``trials`` bounds the candidates of
    the global search; with ``epochs`` (of the final training) instead of ``minutes`` the result depends on the seed
    alone, whatever the machine's speed. ``local=False`` stops after the global search. ``out``: folder of the run
    (default ``runs/NAME``); a run found there goes on, or is returned if it is finished; with ``local=False`` a run of
    fewer ``minutes`` or ``trials`` goes on as well. ``listener``, or each of several, is called with the events of
    ``steerage.events`` and closed in the end if it has a ``close`` (``steerage.listeners``); one that fails is left out
    with a warning, and KeyboardInterrupt stops the run. In a notebook a live view is shown where none is given; ``()``
    is for none.
    ``started``: second of ``time.monotonic()`` from which the minutes count, now by
    default. ``command``: the line that gives this run again, for the report. ``patience``: the search ends early once
    that many rounds in a row promised next to nothing; what it leaves of its time goes to the later phases.
    ``fidelity``: "auto" lets trials that are behind rest as soon as the ranking at a part of a training proves to be
    that at its end; "full" trains each to its end. With ``pareto`` each is.
    ``pareto``, "params" or "macs", with ``local=False``: networks for the front of error and that cost, each in a
    folder ``front/NN`` of the run and in the summary's ``front``; what is returned is the most accurate of them.
    ``max_loss``, a fraction in [0, 1): the smallest network whose validation error is at most that above the lowest
    seen, of the search's winner and of all sizes on the way; inside the budget if there is one. ``front``: the local
    search leaves the networks of all sizes that nobody beats, in ``front/NN`` as well; without ``max_loss`` the most
    accurate of them is returned.
    ``scheme`` of grow-and-prune: "auto", "A", "B" or "C" (docs/grow-and-prune.md).
    ``like``: name of a published network ("resnet20"; ``Template.named``), which is the baseline then, trained with
    the recipe of all others; its parameters and MACs are the budget where none is given. ``depth``: layers that
    every candidate has, as published networks count them. ``max_expansion``, at least 1: how many times as dense as
    the budget a candidate may be while it trains (25 by default), in parameters and in MACs, and, beside ``like``,
    how many times as many values its layers may return; what trains longest is kept out by it. ``distill``: a
    network for a table learns from made-up rows too, of which the best networks of the search and boosted trees
    tell, if that is better on validation rows (``steerage.synthesis.distillation``), and one for images, with ten to
    twenty of them for each parameter, from what a larger network sees in them (``steerage.synthesis.image_teacher``);
    False for its own rows alone.
    ``device``: board or core that the network is for
    (``steerage.cost.device``); its flash and RAM are the budget where that leaves them open, and ``max_flash`` and
    ``max_ram`` are those of code for its core (Cortex-M4 where no device is given), of 8-bit integers with ``int8``;
    the network itself stays one of floats (``steerage export --to c --int8``). "onnxruntime" is this machine, of
    which the summary then has latencies. ``max_latency_ms``, on that device: at most so many milliseconds for a row at
    the median, measured on each candidate before it is trained (``steerage.synthesis.latency``); on a board with a
    clock: as estimated from the instructions of the code (``Device.within``), which is then that of ``prefer="speed"``.
    ``kind``, ``group``: as for ``load_dataset``. ``metric``: what networks are compared by (``steerage.metrics``),
    "error" or "r2" by default; ``max_loss`` and all choices are in its error. ``balanced``: the losses of all classes
    weigh the same, and the metric is "balanced_error" unless another is given. ``straighten``: drawn images are put
    upright before the network sees them (``steerage.data.straighten``); by default where nearest neighbours tell the
    classes better then.
    ``jobs``: trainings that go on at a time, in processes of this machine with a thread each, or in ``executor``, any
    of ``concurrent.futures`` whose workers see the folder of the run; "auto" for as many as suit the machine and the
    minutes. A script that uses several must do so under ``if __name__ == "__main__"``. ``ahead``: trials that are
    under way at a time, by default ``jobs``; where the effort is counted and not timed, the result depends on it, and
    not on ``jobs``, so that a run goes on with the number with which it began. ``ray``: address of a Ray cluster that
    sees the folder of the run, or "auto"; ``jobs``, "auto" too, is then how many of its processors are used
    (docs/scaling.md).
    ``storage``: URL of a database in which the trials are, under the name ``study`` (by default that of the data), to
    be shared by all runs of the same data, template, budget and seed that name it, each in a folder of its own;
    ``trials`` are then those of all of them together, and each is trained in full.

    Raises: InfeasibleBudget at once for a budget that nothing in the template fits; BadData; BadArgument; RunConflict
    if ``out`` belongs to another run; Interrupted (with the best so far kept) on Ctrl-C, and at the end of a call of
    so many minutes.
    """
    effort = effort_from(minutes, trials, epochs)
    asked: dict[str, Any] = {"kind": "synth" if local else "search", "seed": seed}
    _positive("patience", patience)
    if fidelity not in ("auto", "full"):
        raise BadArgument(f"fidelity must be auto or full, got {fidelity!r}")
    _positive("depth", depth)
    if max_expansion is not None and not 1.0 <= max_expansion < float("inf"):
        raise BadArgument(f"max_expansion must be at least 1, got {max_expansion:g}; give 4, say")
    checked_name(scheme)
    wanted = Wanted(max_loss, front)
    if wanted.anything and not local:
        raise BadArgument("sizes are a matter of the local search: max_loss and front go with local=True")
    asked |= {
        **_about_local(wanted, scheme),
        **({"like": like} if like is not None else {}),
        **({"depth": depth} if depth is not None else {}),
        **({"max_expansion": max_expansion} if max_expansion is not None else {}),
        **({} if distill else {"distill": False}),
        "patience": patience,
        "fidelity": fidelity,
        "pareto": pareto,
        "template": template if isinstance(template, str) else template.name if template else "auto",
    }
    if pareto is not None and fronts.checked(pareto) and local:
        raise BadArgument("a front comes from the search alone: pareto goes with local=False")
    # Rungs compare the error alone, by which a front's small networks are rightly behind.
    # Nor can another driver go on with a training that rests in this one's folder.
    full = fidelity == "full" or pareto is not None or storage is not None
    plan = Plan(effort, search_only=not local, patience=patience, full=full, pareto=pareto)
    distill = distill and local and not wanted.anything and like is None
    plan = replace(plan, way_down=wanted.anything, scheme=scheme, like=like is not None, distill=distill)
    latency = _latency(device, max_latency_ms, budget or Budget())
    if study is not None and storage is None:
        raise BadArgument(f"a study is shared in a storage: give storage with study={study!r}")
    board = _device(device)
    with _elsewhere(executor, ray) as others:
        if isinstance(others, RayExecutor) and jobs == "auto":
            jobs = others.places
        request = _Request(
            data,
            target,
            task,
            asked,
            effort,
            replace(plan, jobs=jobs_for(jobs, effort, here=others is None) if latency is None else 1),
            wanted,
            seed,
            out,
            Listeners(of_notebook() if listener is None else listener),
            started,
            command,
            like,
            depth,
            _positive("ahead", ahead),
            others,
            device=board,
            latency=latency,
            max_latency_ms=max_latency_ms,
        )
        request = replace(request, metric=metric, balanced=balanced, kind=kind, group=group, int8=int8)
        request = replace(request, max_expansion=max_expansion or MAX_EXPANSION, straighten=straighten)
        alone = local and not wanted.anything and like is None and device is None and storage is None
        request = replace(request, storage=storage, study=study, free=budget is None and alone)
        with in_milliseconds(board, max_latency_ms):
            return _run(request, budget or Budget(), template)


@contextmanager
def _elsewhere(executor: Executor | None, ray: str | None) -> Iterator[Executor | None]:
    """Who trains in place of this machine's own workers, if anybody; a Ray cluster is left in the end."""
    if ray is None:
        yield executor
        return
    if executor is not None:
        raise BadArgument("ray and executor both say where to train; give one of them")
    cluster = RayExecutor(ray)
    try:
        yield cluster
    finally:
        cluster.stop()


def refine(
    network: OwnNetwork,
    data: str | Path | Dataset,
    *,
    budget: Budget,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
    target: str | None = None,
    task: Task | None = None,
    out: str | Path | None = None,
    listener: Listener | Iterable[Listener] | None = None,
    started: float | None = None,
    command: str = "",
    max_loss: float | None = None,
    front: bool = False,
    scheme: str = "auto",
    device: str | Device | None = None,
    int8: bool = False,
    metric: str | None = None,
    balanced: bool = False,
    kind: Kind | None = None,
    group: str | None = None,
    max_latency_ms: float | None = None,
    straighten: bool = False,
) -> Result:
    """Grow-and-prune of one's own network down to ``budget``; arguments and errors as for ``synthesize``.

    ``straighten``: whether the network has learnt images that were put upright.

    ``max_loss`` is told from the error of the network as it comes, or of the best size on the way if that is lower.
    ``max_latency_ms`` is for boards with a clock.
    """
    effort = effort_from(minutes, None, epochs)
    if device == RUNTIME and max_latency_ms is not None:
        raise BadArgument("refine has no bound on what ONNX Runtime measures; max_latency_ms goes with a board")
    wanted, place = Wanted(max_loss, front), _device(device)
    latency = _latency(device, max_latency_ms, budget)
    if _bounded(budget, place, max_latency_ms) == Budget() and not wanted.anything:
        raise BadArgument("refine needs a budget with a bound, a loss that is tolerated (max_loss), or front=True")
    asked: dict[str, Any] = {"kind": "refine", "seed": seed, "template": network.name}
    asked |= _about_local(wanted, checked_name(scheme))
    plan = Plan(effort, local_only=True, way_down=wanted.anything, scheme=scheme)
    request = _Request(
        data,
        target,
        task,
        asked,
        effort,
        plan,
        wanted,
        seed,
        out,
        Listeners(of_notebook() if listener is None else listener),
        started,
        command,
        device=place,
        latency=latency,
        max_latency_ms=max_latency_ms,
    )
    request = replace(request, metric=metric, balanced=balanced, kind=kind, group=group, int8=int8)
    request = replace(request, straighten=straighten)
    with in_milliseconds(place, max_latency_ms):
        return _run(request, budget, network)


@dataclass(frozen=True)
class _Request:
    data: str | Path | Dataset
    target: str | None
    task: Task | None
    asked: dict[str, Any]
    effort: Effort
    plan: Plan
    wanted: Wanted
    seed: int
    out: str | Path | None
    listener: Listeners
    started: float | None
    command: str
    like: str | None = None
    depth: int | None = None
    ahead: int | None = None
    executor: Executor | None = None
    device: Device | None = None
    int8: bool = False
    metric: str | None = None
    balanced: bool = False
    kind: Kind | None = None
    group: str | None = None
    latency: LatencyBound | None = None
    max_latency_ms: float | None = None
    storage: str | None = field(default=None, repr=False)
    study: str | None = None
    max_expansion: float = MAX_EXPANSION
    free: bool = False  # nothing says how small the network is to be
    straighten: bool | None = None


def _device(given: str | Device | None) -> Device | None:
    """The board or core that is meant, None for this machine."""
    if isinstance(given, str):
        return None if given == RUNTIME else device_of(given)
    return given


def _latency(device: str | Device | None, max_ms: float | None, budget: Budget) -> LatencyBound | None:
    """What measures latencies where the device is ONNX Runtime. Raises: BadArgument for bounds of another device."""
    if device != RUNTIME:
        if max_ms is not None and device is None:
            raise BadArgument(f"max_latency_ms needs a device; give {RUNTIME} (this machine), or a board with a clock")
        return None
    if budget.on_device:
        raise BadArgument(
            f"max_flash, max_ram and max_instructions are of a board's code, and the device is {RUNTIME}; "
            "leave out either"
        )
    return LatencyBound() if max_ms is None else LatencyBound(max_ms)


def _bounded(budget: Budget, device: Device | None, max_ms: float | None) -> Budget:
    """``budget``, with what there is on the device, and the instructions that there is time for."""
    if device is None:
        return budget
    budget = device.budget(budget)
    return budget if max_ms is None else device.within(budget, max_ms)


def _positive(name: str, value: int | None) -> int | None:
    """``value``, if it is one or none. Raises: BadArgument."""
    if value is not None and value < 1:
        raise BadArgument(f"{name} must be positive, got {value}; leave it out, or give a number such as 10")
    return value


def _about_local(wanted: Wanted, scheme: str) -> dict[str, Any]:
    """What is asked of the local search beyond the usual, as run.json has it."""
    sizes = {"max_loss": wanted.max_loss, "front": wanted.front} if wanted.anything else {}
    return {**sizes, **({"scheme": scheme} if scheme != "auto" else {})}


def _run(request: _Request, budget: Budget, template: str | Template | None) -> Result:
    with closing(request.listener):
        return _listened_to(request, budget, template)


def _listened_to(request: _Request, budget: Budget, template: str | Template | None) -> Result:
    dataset = request.data if isinstance(request.data, Dataset) else _loaded(request)
    dataset = with_objective(dataset, metric=request.metric, balanced=request.balanced)
    directory = RunDirectory(Path(request.out) if request.out is not None else Path("runs") / dataset.name)
    dataset = straightened(dataset, directory.straightened() if request.straighten is None else request.straighten)
    given = None if template is None or template == "auto" else template
    given = load_template(given) if isinstance(given, str) else given
    if request.like is not None:
        chosen: Template = published_like(request.like, dataset.spec, given)
        budget = _budget_like(chosen, budget, dataset)
    else:
        chosen = given or template_for(dataset.spec)
    budget = _bounded(budget, request.device, request.max_latency_ms)
    if request.free:
        budget = usual_budget(dataset.spec, chosen)
    if not chosen.accepts(dataset.spec):
        raise BadArgument(f"template {chosen.name} does not take {dataset.spec.kind} data; use another --template")
    train_rows, validation_rows = validation_split(dataset, request.seed)
    kept = None if request.effort.timed else directory.ahead()
    ahead = request.ahead or kept or request.plan.jobs
    asked = {
        **request.asked,
        "budget": {**budget.to_json(), **_bound(request.max_latency_ms)},
        "data": dataset.name,
        "target": request.target,
        "task": dataset.spec.task,
        **({} if dataset.group_name is None else {"group": dataset.group_name}),
        **({"metric": dataset.metric} if dataset.metric is not None else {}),
        **({"balanced": True} if dataset.class_factors is not None else {}),
        **({"straighten": True} if is_straightened(dataset.preprocess) else {}),
        "fingerprint": dataset.fingerprint,
        "template": chosen.name if request.asked["template"] == "auto" else request.asked["template"],
        **({} if request.device is None else {"device": request.device.name}),
        **({"int8": True} if request.int8 else {}),
        **({} if request.latency is None else {"device": RUNTIME}),
        **request.effort.to_json(),
        **({"ahead": ahead} if kept is not None or (ahead > 1 and not request.effort.timed) else {}),
    }
    shared = None
    if request.storage is not None:
        # Of a timed run the first driver says how long a trial takes.
        about = {name: asked[name] for name in SHARED if name in asked}
        shared = StudyAddress(request.storage, dataset.name if request.study is None else request.study, about)
        asked |= {"storage": shared.shown, "study": shared.name}
    clock = directory.clock(request.started)
    on_tick = _on_tick(request.listener, _end_of_call(request))
    bench = Bench(
        dataset,
        chosen,
        budget,
        train_rows,
        validation_rows,
        clock,
        on_tick,
        request.depth,
        request.device,
        request.latency,
        request.int8,
        request.max_latency_ms,
        request.max_expansion,
    )
    if request.depth is not None and chosen.depth(chosen.baseline(dataset.spec)) is None:
        raise BadArgument(f"template {chosen.name} does not count its layers; leave out the depth")
    plan = replace(request.plan, augmented=dataset.augment.active, sized=request.free and budget != Budget())
    plan = replace(plan, distill=plan.distill and dataset.spec.kind in ("table", "image"))
    team = _team(request, directory, clock, ahead)
    run_wide = Run(bench, plan, directory, request.seed, _emitter(directory, clock, request.listener), team, shared)
    if not (directory.request.is_file()):  # nothing is written for a wish that cannot come true
        check_feasible(replace(bench, latency=None), request.seed)
        check_latency(bench, request.seed)
    if shared is not None and not directory.finished():
        with shared_study(shared, ""):  # so that one that cannot be used is refused at once
            pass
    with directory.opened(asked, command=request.command), threads_for(dataset):
        if directory.finished():
            if not directory.report.is_file():  # a stop came just before it
                write_report(directory.path)
            return Result(_load(directory, chosen), store.read_json(directory.summary), directory.path)
        try:
            if bench.latency is not None:
                bench.latency.recall(directory.path)
                bench.latency.keep_in(directory.path)
                check_latency(bench, request.seed)  # of a run that goes on everything is known
            if request.executor is not None:
                team.executor = request.executor
            elif request.plan.jobs > 1:
                team.executor, team.own = WorkerPool(request.plan.jobs), True
                for _ in range(request.plan.jobs):
                    team.executor.submit(get_ready)
            request.listener(_started(run_wide, request, asked))
            result = _phases(run_wide, request)
            request.listener(events.RunFinished(directory.path, result.summary))
            return result
        except KeyboardInterrupt as stop:
            team.stop()
            rests = isinstance(stop, _CallIsOver)
            raise Interrupted(directory.path, _kept_best(run_wide), rests=rests) from None
        finally:
            team.stop()
            directory.heartbeat(clock)


def _started(run: Run, request: _Request, asked: Mapping[str, Any]) -> events.RunStarted:
    dataset, effort, directory = run.bench.dataset, request.effort, run.directory
    return events.RunStarted(
        directory.path,
        summary.title_of(dataset, asked["budget"]),
        asked,
        seconds=60.0 * effort.minutes if effort.timed and effort.minutes is not None else None,
        used=run.bench.clock(),
        target_std=dataset.target_std,
        earlier=directory.logged(),
    )


def _team(request: _Request, directory: RunDirectory, clock: RunClock, ahead: int) -> Team:
    """Who trains, still without workers: their start is for when it is known that there is something to do."""
    ends, saved = _end_of_call(request), Stopwatch(1.0)

    def meanwhile(told: bool) -> None:
        if saved.due():
            directory.heartbeat(clock)
        if told and time.monotonic() >= ends:  # as with a training here: each call does a piece of work
            raise _CallIsOver

    # What others do to a shared study has no order anyway.
    in_order, heard = not request.effort.timed and request.storage is None, request.listener
    return Team(clock, request.plan.jobs, ahead, in_order, heard=heard, meanwhile=meanwhile)


def _budget_like(template: Template, given: Budget, dataset: Dataset) -> Budget:
    """``given``, with the parameters and MACs of the baseline where nothing is given."""
    cost = dense_cost(template, template.baseline(dataset.spec), dataset.spec)
    return replace(given, max_params=given.max_params or cost.params, max_macs=given.max_macs or cost.macs)


def _loaded(request: _Request) -> Dataset:
    assert not isinstance(request.data, Dataset)
    return load_dataset(
        str(request.data), target=request.target, task=request.task, kind=request.kind, group=request.group
    )


def _phases(run: Run, request: _Request) -> Result:
    """All phases that the plan has, then everything that may look at the test rows."""
    bench, run = run.bench, phases.begun(run)
    baseline = after_search = pupil = taught_by = None
    front: list[Finalist] = []
    if run.plan.local_only:
        template = bench.template
        assert isinstance(template, OwnNetwork)
        values, start = template.baseline(bench.dataset.spec), template.start(bench, run.seed)
        if run.plan.way_down:
            given = Finalist("as it came", values, start)
            best, front = local_search.walk_down(run, given, request.wanted, start=start)
        else:
            best = local_search.refine_locally(run, values, start)
    else:
        with suppress(TrainingFailed):  # a plain network is for comparison only
            baseline = phases.train_baseline(run)
            run = phases.planned(run, baseline)
        if run.plan.sized:
            run = with_size(run)
        candidates = phases.search_globally(run)
        run = phases.searched(run)
        if run.plan.pareto:
            front = promotion.promote_front(run, candidates)
        best = after_search = front[-1] if front else promotion.promote(run, candidates)
        run.team.close()  # what comes is one training after the other
        if run.plan.way_down:
            best, front = local_search.walk_down(run, best, request.wanted)
        elif run.plan.taught:
            pupil = distillation.taught(run, best)
            if pupil is not None:
                best, run = pupil.finalist, replace(run, bench=replace(run.bench, budget=pupil.budget))
                taught_by = teacher_of(run).to_json()
    final = best.trained
    if not run.plan.search_only:
        teacher: Finalist | None = None
        with suppress(TrainingFailed):  # there is a network already
            if run.plan.local_only or run.plan.way_down:
                finished = local_search.absorb(run, best)
            else:
                lessons = None if pupil is None else distillation.lessons_of_all_rows(run)
                teacher = image_teacher.teacher_for(run, best)
                finished = local_search.refit(run, best, lessons, teacher)
            # Worse on the validation rows, which it has learnt from by now, than before: something went wrong in it.
            if finished.scores.objective <= best.trained.scores.objective:
                final = finished
                taught_by = taught_by if teacher is None else image_teacher.to_json(teacher)
    if not run.plan.pareto:  # those of a search's front are compacted
        final = compacted(final, bench)
    return _delivered(run, baseline, after_search, best, final, front, taught_by)


def _delivered(
    run: Run,
    baseline: Finalist | None,
    after_search: Finalist | None,
    best: Finalist,
    final: Trained,
    front: Sequence[Finalist],
    taught_by: Mapping[str, Any] | None,
) -> Result:
    """Read the test rows, once, and write the bundle (those of the front, too), the summary and the report."""
    bench, directory, dataset = run.bench, run.directory, run.bench.dataset
    testable = len(dataset.y_test) > 0

    networks = [final, *(one.trained for one in (baseline, after_search) if one is not None)]
    latencies = _measured(run, networks)

    outputs = bench.test_outputs(final.model) if testable else None

    def described(trained: Trained, validation: Trained | None = None) -> dict[str, Any]:
        test = None
        if outputs is not None:
            test = bench.test_scores_of(outputs) if trained is final else bench.test_scores(trained.model)
        scores = (validation or trained).scores
        latency = latencies.get(id(trained))
        return summary.entry(
            dataset,
            bench.cost_told(trained),
            epochs=trained.epochs,
            validation=scores,
            test=test,
            latency=latency,
            device=bench.device,
        )

    delivered = described(final, best.trained)
    others = {
        "baseline": described(baseline.trained) if baseline else None,
        "after_search": described(after_search.trained) if after_search else None,
    }
    members = {member.name: (member, described(member.trained)) for member in front}
    for name, (member, entry) in members.items():
        _save(run, directory.front / name, as_network(run.bench, member.values, member.trained, entry))
    for old in directory.front.glob("*"):  # of a front that had more members, before the search went on
        if old.name not in members:
            shutil.rmtree(old, ignore_errors=True)
    _save(run, directory.network, as_network(run.bench, best.values, final, delivered))
    active = bench.clock()  # after the last evaluation, whose time counts as training
    phase_seconds = _phase_seconds(directory, active)
    document = {
        "version": summary.VERSION,
        "task": dataset.spec.task,
        "metric": metric_named(dataset.metric, dataset.spec.task).name,
        **delivered,
        **others,
        **({"front": [_on_front(*member) for member in members.values()]} if front else {}),
        "budget": {**bench.budget.to_json(), **_bound(bench.max_latency_ms)},
        **({} if taught_by is None else {"taught_by": dict(taught_by)}),
        "values": dict(best.values),
        "trials": len(
            {one["number"] for one in directory.logged() if one.get("event") in ("TrialFinished", "TrialStopped")}
        ),
        "seconds": {**phase_seconds, "own": max(0.0, active - bench.clock.training), "total": active},
        "seed": run.seed,
        "versions": versions(),
    }
    store.write_json(directory.analysis, analysed(run, final, outputs))
    store.write_json(directory.summary, document)
    write_report(directory.path)
    for leftover in [*directory.candidates.iterdir(), *directory.local.iterdir()]:
        # Networks, and trials at rest, are of use when the search goes on with more effort.
        kept = leftover.suffix == ".done" or (leftover.suffix == ".state" and leftover.name.startswith("trial-"))
        if not (run.plan.search_only and kept):
            leftover.unlink(missing_ok=True)
    return Result(_load(directory, bench.template), store.read_json(directory.summary), directory.path)


def _measured(run: Run, networks: Sequence[Trained]) -> dict[int, Latency]:
    """Latencies of ``networks``, timed in turns, by their identity; none where the device is not ONNX Runtime.

    Nor, with a warning, where a network of one's own has no ONNX form: it is trained all the same.
    """
    if run.bench.latency is None:
        return {}
    values = run.bench.template.baseline(run.bench.dataset.spec)  # how they were built does not matter here
    try:
        found = run.bench.latency.measure([as_network(run.bench, values, one, {}) for one in networks])
    except (UnsupportedLayer, ExportMismatch) as error:
        warnings.warn(f"no latency was measured: {error}", stacklevel=2)
        return {}
    return {id(one): latency for one, latency in zip(networks, found, strict=True)}


def _bound(max_ms: float | None) -> dict[str, float]:
    return {} if max_ms is None else {"max_latency_ms": max_ms}


def _on_front(member: Finalist, entry: dict[str, Any]) -> dict[str, Any]:
    return {"path": f"front/{member.name}", **entry, "values": dict(member.values)}


def _save(run: Run, folder: Path, network: Network) -> None:
    template = run.bench.template
    save_network(folder, network, template=None if isinstance(template, OwnNetwork) else template)


def _load(directory: RunDirectory, template: Template) -> Network:
    if isinstance(template, OwnNetwork):
        return load_network(directory.network, factory=template.factory)
    return load_network(directory.network, template=template)


def _kept_best(run: Run) -> str:
    """Write the best network so far as the run's bundle; say what it is."""
    if run.directory.finished():
        return f"the finished network is in {run.directory.network}"
    best = best_so_far(run)
    if best is None:
        return f"no candidate is trained yet, what was begun is in {run.directory.path}"
    final = compacted(best.trained, run.bench)
    scores = best.trained.scores
    entry = summary.entry(run.bench.dataset, final.cost, epochs=final.epochs, validation=scores, test=None)
    where = run.directory.network
    _save(run, where, as_network(run.bench, best.values, final, entry))
    dataset = run.bench.dataset
    metric = metric_named(dataset.metric, dataset.spec.task)
    error = f"validation {metric.error_title} {best.trained.scores.error:.4f}"
    return f"the best so far ({best.name}, {error}) is in {where}"


def _phase_seconds(directory: RunDirectory, active: float) -> dict[str, float]:
    """Active seconds by kind of work, from the moments at which phases began."""
    kinds = {
        "baseline": "train",
        "sizing": "search",
        "search": "search",
        "promotion": "train",
        "distillation": "train",
        "teacher": "train",
    }  # all others are local search
    began = directory.phases()
    seconds = dict.fromkeys(("search", "train", "local"), 0.0)
    for (start, phase), (end, _) in zip(began, [*began[1:], (active, "")], strict=True):
        seconds[kinds.get(phase, "local")] += max(0.0, end - start)
    return seconds


def _emitter(directory: RunDirectory, clock: Callable[[], float], listener: Listener) -> Listener:
    def emit(event: object) -> None:
        directory.log(event, clock())
        listener(event)

    return emit


def _end_of_call(request: _Request) -> float:
    """Second of ``time.monotonic()`` at which this call is over, whatever is left to do."""
    seconds = request.effort.seconds_per_call
    began = time.monotonic() if request.started is None else request.started
    return math.inf if seconds is None else began + seconds


def _on_tick(listener: Listener, ends: float) -> Callable[[str, Any], None]:
    """Tells what a training does, and ends the call: here alone, so that each does a piece of work, and saves it."""

    def on_tick(name: str, tick: Any) -> None:
        listener(events.Training(name, min(1.0, tick.progress), tick.loss))
        if time.monotonic() >= ends:
            raise _CallIsOver

    return on_tick
