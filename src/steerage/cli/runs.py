"""The commands that synthesize: synth, search, refine."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from steerage.cli import owncode, progress, signals
from steerage.cli.networks import OwnCode, is_of_own_template, open_network
from steerage.cli.session import Job, Session, Stopped
from steerage.errors import BadArgument
from steerage.listeners.story import Story
from steerage.metrics import metric_named

if TYPE_CHECKING:
    from torch import nn

    from steerage.bundle import Network
    from steerage.cost.budget import Budget
    from steerage.data.dataset import Dataset
    from steerage.listeners import Listener
    from steerage.synthesis.main import Result


@dataclass(frozen=True)
class Wish:
    """What is asked of a run; the bounds by name as they were typed."""

    data: str
    target: str | None
    task: Literal["classification", "regression", "multilabel"] | None
    bounds: Mapping[str, str | None]
    device: str | None
    minutes: float | None
    epochs: int | None
    seed: int
    out: Path | None
    as_json: bool
    quiet: bool
    max_loss: float | None = None
    front: bool = False
    scheme: str = "auto"
    metric: str | None = None
    balanced: bool = False
    kind: Literal["table", "image", "signal"] | None = None
    max_latency_ms: float | None = None
    int8: bool = False
    logs: tuple[str, ...] = ()
    group: str | None = None

    @property
    def tolerated(self) -> float | None:
        """``max_loss``, percentage points, as a fraction. Raises: BadArgument for one outside [0, 100)."""
        if self.max_loss is not None and not 0.0 <= self.max_loss < 100.0:
            raise BadArgument(
                f"--max-loss must be from 0 to 100 percentage points, got {self.max_loss:g}; give 0.2, say"
            )
        return None if self.max_loss is None else self.max_loss / 100.0


def synth(
    wish: Wish,
    *,
    trials: int | None,
    patience: int | None,
    fidelity: Literal["auto", "full"],
    template: str,
    local: bool,
    pareto: str | None = None,
    like: str | None = None,
    depth: int | None = None,
    max_expansion: float | None = None,
    distill: bool = True,
    straighten: bool | None = None,
    jobs: str = "auto",
    ahead: int | None = None,
    ray: str | None = None,
    storage: str | None = None,
    study: str | None = None,
) -> Job:
    """Synthesis of a network; without ``local`` its global search alone, for a front with the cost ``pareto``."""

    def job(session: Session) -> str:
        def work(dataset: Dataset, budget: Budget | None, listeners: Sequence[Listener]) -> Result:
            from steerage.synthesis.main import synthesize

            return synthesize(
                dataset,
                budget=budget,
                minutes=wish.minutes,
                trials=trials,
                patience=patience,
                fidelity=fidelity,
                pareto=pareto,
                max_loss=wish.tolerated,
                front=wish.front,
                scheme=wish.scheme,
                like=like,
                depth=depth,
                max_expansion=max_expansion,
                distill=distill,
                straighten=straighten,
                device=wish.device,
                int8=wish.int8,
                jobs=_jobs(jobs),
                ahead=ahead,
                ray=ray,
                storage=storage,
                study=study,
                max_latency_ms=wish.max_latency_ms,
                epochs=wish.epochs,
                seed=wish.seed,
                template=template,
                target=wish.target,
                task=wish.task,
                out=session.folder,
                listener=listeners,
                local=local,
                started=session.started,
                command=session.command,
            )

        owncode.find_neighbours(template)
        return _told(wish, session, "synth" if local else "search", trials, template, work)

    return job


def refine(wish: Wish, *, network: str, factory: str | None) -> Job:
    """Grow-and-prune of a network from the user's file, an exported program or a bundle."""

    def job(session: Session) -> str:
        bounds = [wish.device, wish.max_latency_ms, *wish.bounds.values()]
        bounded = any(bound is not None for bound in bounds)
        if not bounded and wish.tolerated is None and not wish.front:
            options = ", ".join(map(_option, wish.bounds))
            raise BadArgument(f"refine needs to know how far; give {options}, --device, --max-loss or --front")
        given, made = None, None
        if network.endswith(".py") or network.rpartition(":")[0].endswith(".py"):
            made = owncode.factory_from(network)
        elif not (Path(network).is_file() or (network.endswith(".pt2") and not Path(network).is_dir())):
            _refuse_own_template(Path(network))
            given = open_network(Path(network), OwnCode(factory))
            made = _again(given)
        target, group = wish.target, wish.group
        if given is not None:
            target, group = target or given.target_name, group or given.group_name

        def work(dataset: Dataset, budget: Budget | None, listeners: Sequence[Listener]) -> Result:
            from steerage.cost.budget import Budget
            from steerage.data.straightened import is_straightened
            from steerage.synthesis.main import refine as refined
            from steerage.synthesis.own_network import OwnNetwork, exported_network

            if given is not None:
                _check_same_task(given, dataset, network)
            if made is None:
                own = exported_network(network, dataset.spec)
            else:
                own = OwnNetwork(network, made, architecture=None if given is None else given.architecture)
            return refined(
                own,
                dataset,
                straighten=given is not None and is_straightened(given.preprocess),
                budget=budget or Budget(),
                max_loss=wish.tolerated,
                front=wish.front,
                scheme=wish.scheme,
                device=wish.device,
                int8=wish.int8,
                max_latency_ms=wish.max_latency_ms,
                minutes=wish.minutes,
                epochs=wish.epochs,
                seed=wish.seed,
                target=wish.target,
                task=wish.task,
                out=session.folder,
                listener=listeners,
                started=session.started,
                command=session.command,
            )

        return _told(replace(wish, target=target, group=group), session, "refine", None, "", work)

    return job


def _told(
    wish: Wish,
    session: Session,
    kind: Literal["synth", "search", "refine"],
    trials: int | None,
    template: str,
    work: Callable[[Dataset, Budget | None, Sequence[Listener]], Result],
) -> str:
    """Do ``work`` on the data, with progress shown; what it delivers as text for stdout."""
    chapters = f"{kind} down" if wish.front or wish.max_loss is not None else kind
    story = Story(chapters, f"reading {wish.data}", clock=lambda: time.monotonic() - session.started, seconds=None)
    with progress.shown(story, quiet=wish.quiet) as say:
        from steerage.cli.logs import listeners_for
        from steerage.cost.budget import Budget
        from steerage.data.load import load_dataset
        from steerage.data.objective import with_objective
        from steerage.synthesis.main import Interrupted
        from steerage.synthesis.plan import effort_from
        from steerage.synthesis.run_directory import RunDirectory
        from steerage.synthesis.summary import title_of

        others = listeners_for(wish.logs)
        effort = effort_from(wish.minutes, trials, wish.epochs)
        given = Budget(**{name: _size(_option(name), text) for name, text in wish.bounds.items()})
        dataset = load_dataset(wish.data, target=wish.target, task=wish.task, kind=wish.kind, group=wish.group)
        dataset = with_objective(dataset, metric=wish.metric, balanced=wish.balanced)
        session.folder = wish.out if wish.out is not None else Path("runs") / dataset.name
        directory = RunDirectory(session.folder)
        finished = directory.finished()
        story.title = title_of(dataset, {**given.to_json(), "max_latency_ms": wish.max_latency_ms})
        story.target_std = dataset.target_std
        story.metric = metric_named(dataset.metric, dataset.spec.task)
        story.clock = directory.clock(session.started)
        story.seconds = 60.0 * effort.minutes if effort.timed and effort.minutes is not None else None
        story.wanted = None if effort.timed and trials is None else effort.trials
        story.recall(directory.logged())
        heard = False
        title = iter([story.title])  # said with the first event, so that a wish refused leaves one line

        def listener(event: object) -> None:
            nonlocal heard
            signals.check()
            heard = True
            for line in title:
                say(line)
            for line in story.hear(event):
                say(line)

        try:
            result = work(dataset, None if given == Budget() else given, [listener, *others])
        except Interrupted as stop:
            raise Stopped(str(stop), rests=stop.rests) from None
        for line in story.end_of_phase():
            say(line)
        if finished and not heard:
            say(f"{session.folder} is a finished run, and nothing was left to do; another --out begins a new one")
    return _as_json(result) if wish.as_json else _as_text(wish, kind, template, story.title, result)


def _as_json(result: Result) -> str:
    return json.dumps(result.summary, indent=2, ensure_ascii=False) + "\n"


def _as_text(wish: Wish, kind: str, template: str, title: str, result: Result) -> str:
    from steerage.bundle import FromFactory
    from steerage.cli import table
    from steerage.search.ranking import ranking
    from steerage.search.run import open_study

    lines = [title, *table.budget(result.summary), "", *table.networks(result.summary), ""]
    study = result.folder / "study.db"
    if wish.front:
        lines += [*table.front_networks(result.summary, "all sizes that nobody beats:"), ""]
    if kind == "search" and study.is_file():
        trials, std = ranking(open_study(f"sqlite:///{study.resolve()}")), result.network.target_std
        metric = metric_named(result.summary.get("metric"), result.summary["task"])
        named = _front(result.folder)
        if named is None:
            lines += [*table.ranking(trials, metric, target_std=std), ""]
        else:
            cost, numbers = named
            found = {trial.number: trial for trial in trials}
            lines += [*table.front([found[number] for number in numbers], cost, metric, target_std=std), ""]
            title = "networks of it, trained longer; those that others then beat are left out:"
            lines += [*table.front_networks(result.summary, title), ""]
            lines.append(f"front:   {result.folder / 'front.csv'}")
        if (ranked := result.folder / "ranking.csv").is_file():
            lines.append(f"ranking: {ranked}")
    made = result.network.architecture
    factory = made.factory if isinstance(made, FromFactory) else None
    own_template = template if ".py:" in template else None
    lines.append(f"disk:    {_disk(result.folder)}")
    lines += table.whereabouts(result.folder, wish.data, factory=factory, template=own_template)
    return "\n".join(lines) + "\n"


def _disk(folder: Path) -> str:
    """``the run uses 1.2 MB of disk``."""
    from steerage.store import bytes_of

    return f"the run uses {bytes_of(folder) / 1e6:.1f} MB of disk"


def _front(folder: Path) -> tuple[str, list[int]] | None:
    """Cost of the front that the search in ``folder`` was for, and the trials on it; None if it was for none."""
    from steerage.synthesis.run_directory import RunDirectory

    told = [event for event in RunDirectory(folder).logged() if event.get("event") == "FrontFound"]
    return (str(told[-1]["cost"]), [int(number) for number in told[-1]["trials"]]) if told else None


def _option(bound: str) -> str:
    """``max_params`` as it is typed."""
    return f"--{bound.replace('_', '-')}"


def _jobs(text: str) -> int | Literal["auto"]:
    """``auto``, or a number. Raises: BadArgument for anything else."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise BadArgument(f"--jobs must be auto or a positive number, got {text!r}; leave it out")
    return int(text)


def _size(option: str, text: str | None) -> int | None:
    from steerage.cost.budget import parse_size

    try:
        return None if text is None else parse_size(text)
    except BadArgument as error:
        raise BadArgument(f"{option}: {error}") from None


def _refuse_own_template(path: Path) -> None:
    if is_of_own_template(path):
        raise BadArgument(
            f"{path} was built by a template of your own; give a function that returns its module "
            "(steerage.load(...).model) as file.py:function"
        )


def _again(network: Network) -> Callable[[], nn.Module]:
    """Factory of networks like ``network``, weights and all."""
    return lambda: copy.deepcopy(network.model)


def _check_same_task(network: Network, dataset: Dataset, name: str) -> None:
    """Raises: BadArgument if the data has other inputs or classes than those that the network has learnt."""
    ours = (network.spec.task, network.spec.input_shape, network.classes, network.spec.outputs)
    theirs = (dataset.spec.task, dataset.spec.input_shape, dataset.classes, dataset.spec.outputs)
    if ours != theirs:
        raise BadArgument(
            f"{name} is for {_described(*ours, other=theirs)}, "
            f"and {dataset.name} has {_described(*theirs, other=ours)}; "
            "give the data that it was made from"
        )


_Learnt = tuple[str, tuple[int, ...], tuple[str, ...], int]  # task, shape of inputs, classes, outputs


def _described(task: str, shape: tuple[int, ...], classes: tuple[str, ...], outputs: int, *, other: _Learnt) -> str:
    from steerage.data.raw import listed

    if other[2] != classes and (other[0], other[1], other[3]) == (task, shape, outputs):
        return f"the classes {listed(classes, width=20)}"
    if task == "regression":
        what = f"regression of {outputs}" if outputs > 1 else "regression"
    else:
        what = f"{len(classes)} {'labels' if task == 'multilabel' else 'classes'}"
    return f"{what}, inputs {'x'.join(map(str, shape))}"
