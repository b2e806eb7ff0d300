"""Several runs on one page: what each was asked for and delivered, in one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from steerage.metrics import METRICS
from steerage.report.figures import Axis, Point, scatter
from steerage.report.page import COSTS, document
from steerage.report.run import Run, at, number, read_run
from steerage.report.text import ABOUT, BOUNDS, NONE, about, count, measure, section, setting, table
from steerage.store import write_atomic

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def write_comparison(folders: Sequence[str | Path], path: str | Path) -> Path:
    """Write a page on the finished or unfinished runs in ``folders`` (2 to 26 of them) to ``path``, and return that.

    Raises: BadBundle for a folder that holds no run; SteerageError when ``path`` cannot be written.
    """
    write_atomic(Path(path), comparison([read_run(folder) for folder in folders]))
    return Path(path)


def comparison(runs: Sequence[Run]) -> str:
    """The page as HTML; whatever comes from the runs is escaped."""
    names = [f"{letter}: {run.folder.resolve().name}" for letter, run in zip(LETTERS, runs, strict=False)]
    head = f"<h1>{len(runs)} runs</h1><p class=lead>{escape('; '.join(names))}</p>"
    return document("steerage: comparison", [head, _delivered(runs), _figure(runs), _asked(runs)])


def _letters(runs: Sequence[Run]) -> list[str]:
    return [*LETTERS[: len(runs)]]


def _delivered(runs: Sequence[Run]) -> str:
    rows: list[list[str]] = []
    for metric in METRICS.values():
        for part in ("test", "validation"):
            values = [number(at(run.summary, metric.name, part)) for run in runs]
            if any(value is not None for value in values):
                rows.append([f"{part} {metric.title}", *(measure(metric.name, value) for value in values)])
    plain = [number(at(run.summary, "baseline", "error", "test")) for run in runs]
    if any(value is not None for value in plain):
        rows.append(["plain baseline, test error", *(measure("error", value) for value in plain)])
    for cost, name in COSTS:
        values = [number(run.summary.get(cost)) for run in runs]
        if any(value is not None for value in values):
            rows.append([name, *(count(value) for value in values)])
    rows.append(["candidates", *(count(number(run.summary.get("trials"))) for run in runs)])
    minutes = [number(at(run.summary, "seconds", "total")) for run in runs]
    rows.append(["minutes", *(NONE if value is None else f"{value / 60:.1f}" for value in minutes)])
    return section("Delivered", table(["", *_letters(runs)], rows))


def _figure(runs: Sequence[Run]) -> str:
    """The error on test rows, by each run's metric, over parameters: networks delivered, and those of fronts."""
    points = []
    for letter, run in zip(LETTERS, runs, strict=False):
        members = [("", run.summary), *((f" {at(member, 'path')}", member) for member in run.front)]
        for name, member in members:
            params, figure = number(at(member, "params")), number(at(member, run.metric.name, "test"))
            if params is not None and figure is not None:
                error = 1.0 - figure if run.metric.form == "complement" else figure
                shown_as = measure(run.metric.name, figure)
                text = f"{letter}{name}: {run.metric.title} {shown_as}, {count(params)} parameters"
                kind = "front" if name else "delivered"
                points.append(
                    Point(params, error, text, "" if name else letter, kind, about(text, at(member, "values")))
                )
    if not points:
        return ""
    percent = all(run.metric.form == "share" for run in runs)
    show = (lambda error: f"{100 * error:.3g} %") if percent else "{:.3g}".format
    titles = {run.metric.error_title for run in runs}
    label = f"test {titles.pop()}" if len(titles) == 1 else "test error, each by its metric"
    drawn = scatter(points, Axis("parameters", log=True), Axis(label, show))
    return section("Error and size", drawn + ABOUT)


def _asked(runs: Sequence[Run]) -> str:
    """What the runs were asked for where they differ."""
    names = dict.fromkeys(name for run in runs for name in run.asked if name not in ("budget", "command"))
    rows = [[f"most {BOUNDS[bound][1]}s", *(count(run.budget.get(bound)) for run in runs)] for bound in BOUNDS]
    rows += [[name, *(setting(name, run.asked.get(name)) or NONE for run in runs)] for name in names]
    differ = [row for row in rows if len(set(row[1:])) > 1]
    same = [row[0] for row in rows if len(set(row[1:])) == 1 and row[1] != NONE]
    equal = f"<p>The same in all: {escape(', '.join(same))}.</p>" if same else ""
    content = table(["setting", *_letters(runs)], differ) if differ else ""
    return section("Asked", content + equal)
