"""The commands that synthesize: synth, search, refine."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from steerage.cli import owncode, progress, signals
from steerage.cli.networks import OwnCode, is_of_own_template, open_network
from steerage.cli.session import Job, Session, Stopped
from steerage.cli.story import Story
from steerage.errors import BadArgument
from steerage.metrics import metric_named

if TYPE_CHECKING:
    from torch import nn

    from steerage.bundle import Network
    from steerage.cost.budget import Budget
    from steerage.data.dataset import Dataset
    from steerage.synthesis.main import Result

Listener = Callable[[object], None]


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

    @property
    def tolerated(self) -> float | None:
        """``max_loss``, percentage points, as a fraction. Raises: BadArgument for one outside [0, 100)."""
        if self.max_loss is not None and not 0.0 <= self.max_loss < 100.0:
            raise BadArgument(f"--max-loss must be from 0 to 100 percentage points, got {self.max_loss:g}")
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
    jobs: str = "auto",
    ahead: int | None = None,
    ray: str | None = None,
) -> Job:
    """Synthesis of a network; without ``local`` its global search alone, for a front with the cost ``pareto``."""

    def job(session: Session) -> str:
        def work(dataset: Dataset, budget: Budget, listener: Listener) -> Result:
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
                device=wish.device,
                int8=wish.int8,
                jobs=_jobs(jobs),
                ahead=ahead,
                ray=ray,
                max_latency_ms=wish.max_latency_ms,
                epochs=wish.epochs,
                seed=wish.seed,
                template=template,
                target=wish.target,
                task=wish.task,
                out=session.folder,
                listener=listener,
                local=local,
                started=session.started,
                command=session.command,
            )

        owncode.find_neighbours(template)
        return _told(wish, session, "synth" if local else "search", wish.target, trials, template, work)

    return job


def refine(wish: Wish, *, network: str, factory: str | None) -> Job:
    """Grow-and-prune of a network from the user's file, an exported program or a bundle."""

    def job(session: Session) -> str:
        bounded = wish.device is not None or any(bound is not None for bound in wish.bounds.values())
        if not bounded and wish.tolerated is None and not wish.front:
            options = ", ".join(map(_option, wish.bounds))
            raise BadArgument(f"refine needs to know how far: give {options}, --device, --max-loss or --front")
        given, made = None, None
        if network.endswith(".py") or network.rpartition(":")[0].endswith(".py"):
            made = owncode.factory_from(network)
        elif not (Path(network).is_file() or (network.endswith(".pt2") and not Path(network).is_dir())):
            _refuse_own_template(Path(network))
            given = open_network(Path(network), OwnCode(factory))
            made = _again(given)
        target = wish.target if wish.target is not None or given is None else given.target_name

        def work(dataset: Dataset, budget: Budget, listener: Listener) -> Result:
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
                budget=budget,
                max_loss=wish.tolerated,
                front=wish.front,
                scheme=wish.scheme,
                device=wish.device,
                int8=wish.int8,
                minutes=wish.minutes,
                epochs=wish.epochs,
                seed=wish.seed,
                target=wish.target,
                task=wish.task,
                out=session.folder,
                listener=listener,
                started=session.started,
                command=session.command,
            )

        return _told(wish, session, "refine", target, None, "", work)

    return job


def _told(
    wish: Wish,
    session: Session,
    kind: Literal["synth", "search", "refine"],
    target: str | None,
    trials: int | None,
    template: str,
    work: Callable[[Dataset, Budget, Listener], Result],
) -> str:
    """Do ``work`` on the data, with progress shown; what it delivers as text for stdout."""
    chapters = f"{kind} down" if wish.front or wish.max_loss is not None else kind
    story = Story(chapters, f"reading {wish.data}", clock=lambda: time.monotonic() - session.started, seconds=None)
    with progress.shown(story, quiet=wish.quiet) as say:
        from steerage.cost.budget import Budget
        from steerage.data.load import load_dataset
        from steerage.data.objective import with_objective
        from steerage.synthesis.main import Interrupted
        from steerage.synthesis.plan import effort_from
        from steerage.synthesis.run_directory import RunDirectory

        effort = effort_from(wish.minutes, trials, wish.epochs)
        budget = Budget(**{name: _size(_option(name), text) for name, text in wish.bounds.items()})
        dataset = load_dataset(wish.data, target=target, task=wish.task, kind=wish.kind)
        dataset = with_objective(dataset, metric=wish.metric, balanced=wish.balanced)
        session.folder = wish.out if wish.out is not None else Path("runs") / dataset.name
        directory = RunDirectory(session.folder)
        finished = directory.finished()
        story.title, story.target_std = _title(dataset, budget, wish.max_latency_ms), dataset.target_std
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
            result = work(dataset, budget, listener)
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


def _title(dataset: Dataset, budget: Budget, max_latency_ms: float | None) -> str:
    """``digits: 1,437 training rows, 10 classes; at most 1,500 parameters``."""
    from steerage.report.text import bounded, counted

    several = f" of {dataset.spec.outputs} targets" if dataset.spec.outputs > 1 else ""
    noun = "labels" if dataset.spec.task == "multilabel" else "classes"
    kind = f"regression{several}" if dataset.spec.task == "regression" else f"{dataset.spec.outputs} {noun}"
    given: dict[str, float | None] = {**budget.to_json(), "max_latency_ms": max_latency_ms}
    bounds = [bounded(name, bound) for name, bound in given.items() if bound is not None]
    within = f"; at most {' and '.join(bounds)}" if bounds else ""
    return f"{dataset.name}: {counted(dataset.spec.rows, 'training row')}, {kind}{within}"


def _option(bound: str) -> str:
    """``max_params`` as it is typed."""
    return f"--{bound.replace('_', '-')}"


def _jobs(text: str) -> int | Literal["auto"]:
    """``auto``, or a number. Raises: BadArgument for anything else."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise BadArgument(f"--jobs must be auto or a positive number, got {text!r}")
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
            f"{path} was built by a template of your own; write a function that returns its module "
            "(steerage.load(path, template=...).model), and give that as file.py:function"
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
            f"{name} has learnt {_described(*ours)}, and {dataset.name} has {_described(*theirs)}; "
            "give the data that it was made from"
        )


def _described(task: str, shape: tuple[int, ...], classes: tuple[str, ...], outputs: int) -> str:
    into = f" into {len(classes)} classes" if classes else f" into {outputs} numbers" if outputs > 1 else ""
    return f"{task} of inputs {'x'.join(map(str, shape))}{into}"
