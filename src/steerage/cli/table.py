"""What a finished run prints: the table of the three networks, the best candidates, and where everything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steerage.metrics import METRICS, Metric, metric_named
from steerage.report.run import at, number
from steerage.report.text import BOUNDS, NONE, STAGES, amount, bounded, count, measure, settings
from steerage.shellwords import quoted

if TYPE_CHECKING:
    from steerage.search.ranking import RankedTrial

COSTS = {
    "params": "parameters",
    "dense_params": "dense parameters",
    "macs": "MACs",
    "flash_bytes": "flash bytes",
    "ram_bytes": "RAM bytes",
    "instructions": "instructions",
    "latency_ms": "ms for a row",
    "epochs": "epochs of training",
}
BEST_TRIALS = 10
WIDTH = 80


def aligned(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with the first column to the left and the others to the right; no blanks at the ends."""
    widths = [max(len(row[index]) for row in [names, *rows]) for index in range(len(names))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in [names, *rows]
    ]


def networks(summary: Mapping[str, Any]) -> list[str]:
    """Baseline, after search and delivered, as far as there are figures for them."""
    stages = [(stage,) if stage else () for stage, _ in STAGES]
    wanted = [
        *((f"{part} {one.title}", one.name, part) for one in METRICS.values() for part in ("test", "validation")),
        *((name, cost, None) for cost, name in COSTS.items()),
    ]
    rows = []
    for name, field, part in wanted:
        path = (field,) if part is None else (field, part)
        values = [number(at(summary, *stage, *path)) for stage in stages]
        if any(value is not None for value in values):
            rows.append([name, *(amount(field, value) if part is None else measure(field, value) for value in values)])
    kept = [0, *(i for i in range(1, len(STAGES) + 1) if any(row[i] != NONE for row in rows))]
    names = ["", *(name for _, name in STAGES)]
    return aligned([names[i] for i in kept], [[row[i] for i in kept] for row in rows])


def budget(summary: Mapping[str, Any]) -> list[str]:
    """Each bound and whether the delivered network keeps it."""
    lines = []
    for bound, (field, _) in BOUNDS.items():
        limit, used = number(at(summary, "budget", bound)), number(summary.get(field))
        if limit is not None and used is not None:
            verdict = "kept" if used <= limit else f"NOT KEPT, by {amount(field, used - limit)}"
            lines.append(f"budget: at most {bounded(bound, limit)}, {verdict}")
    return lines


def ranking(trials: Sequence[RankedTrial], metric: Metric, *, target_std: float | tuple[float, ...] = 1.0) -> list[str]:
    """The best candidates of the search: ``metric``, parameters, and as many hyperparameters as fit the line.

    How often each was trained, if any was more than once: its error is then a mean.
    """
    return _candidates(trials[:BEST_TRIALS], "params", metric, target_std)


def front(
    trials: Sequence[RankedTrial], cost: str, metric: Metric, *, target_std: float | tuple[float, ...] = 1.0
) -> list[str]:
    """All candidates that the search has named as the front of error and ``cost``, as in ``ranking``."""
    title = f"front of error and {COSTS[cost]}, as the search has seen it:"
    return [title, *_candidates(trials, cost, metric, target_std)]


def front_networks(summary: Mapping[str, Any], title: str) -> list[str]:
    """The networks of a front under ``title``: where each is, its errors and costs."""
    metric = metric_named(summary.get("metric"), str(summary.get("task")))
    rows = [
        [
            str(at(member, "path")),
            *(measure(metric.name, number(at(member, metric.name, part))) for part in ("validation", "test")),
            *(count(number(at(member, cost))) for cost in ("params", "macs")),
        ]
        for member in summary.get("front", ())
    ]
    names = [f"{part} {metric.title}" for part in ("validation", "test")]
    return [title, *aligned(["", *names, "parameters", "MACs"], rows)]


def _candidates(
    trials: Sequence[RankedTrial], cost: str, metric: Metric, target_std: float | tuple[float, ...]
) -> list[str]:
    from steerage.templates.template import architecture

    rows = []
    again = any(trial.trainings > 1 for trial in trials)
    for trial in trials:
        error = trial.metrics.get("error", trial.error)
        rows.append(
            [
                f"trial {trial.number}",
                metric.written(metric.figure(error, target_std)),
                count(trial.metrics.get(cost)),
                *([str(trial.trainings)] if again else []),
            ]
        )
    lines = aligned(["", f"validation {metric.title}", COSTS[cost], *(["trained"] if again else [])], rows)
    hyper = ["main hyperparameters", *(settings(architecture(trial.values)) for trial in trials)]
    width = max(map(len, lines), default=0)
    return [cut(f"{line:<{width}}  {text}") for line, text in zip(lines, hyper, strict=True)]


def cut(line: str) -> str:
    """``line`` in at most 80 columns."""
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1].rstrip(' ,')}…"


def whereabouts(folder: Path, data: str, *, factory: str | None = None, template: str | None = None) -> list[str]:
    """Where the network and the report are, and the commands that use them.

    ``factory``, ``template``: the user's code that they need, as file.py:Name.
    """
    network = quoted(str(folder / "network"))
    needed = [(name, code) for name, code in (("factory", factory), ("template", template)) if code]
    own = "".join(f" --{name} {quoted(code)}" for name, code in needed)
    given = "".join(f", {name}={code.rpartition(':')[2]}{'()' * (name == 'template')}" for name, code in needed)
    python = f"steerage.load({str(folder / 'network')!r}{given}).predict(X)"
    return [
        f"network: {folder / 'network'}",
        f"report:  {folder / 'report.html'}",
        "",
        f"steerage eval {network} {quoted(data)}{own}",
        f"steerage export {network} --to onnx{own}",
        f"python: {python}",
    ]
