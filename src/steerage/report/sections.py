"""The parts of the page that tell how the run went: candidates, predictor, grow-and-prune."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from steerage.report.figures import Axis, Point, scatter
from steerage.report.run import Fields, Run, at, error_of, number, params_of
from steerage.report.text import (
    ABOUT,
    NONE,
    STAGES,
    about,
    count,
    counted,
    measure,
    section,
    settings,
    shown,
    table,
    thinned,
)

BEST_TRIALS = 10
FAILURES = 5
SHOWN_STEPS = 12
CROWD, USUAL_SHARE = 50, 0.9  # candidates from which a figure shows the larger part of them well, and which part
SEEN = ("refit", "absorbed")  # networks that learnt from the validation rows
COSTS = ("params", "dense_params", "macs")
X_LABEL = "parameters"
NOUNS = {"params": X_LABEL, "macs": "MACs"}


def trials(run: Run) -> str:
    """Candidates: a figure of error over parameters, the best ones, and why some failed."""
    measured = [(error, event) for event in run.named("TrialFinished") if (error := error_of(event)) is not None]
    failed = run.named("TrialFailed")
    if not measured and not failed:
        return ""
    best = sorted(measured, key=lambda pair: pair[0])[:BEST_TRIALS]
    # A row has only what tells it from the others; what they share is said once.
    names = dict.fromkeys(name for _, event in best for name in _values(event))
    differing = {
        name for name in names if len(best) == 1 or len({settings(_values(event).get(name)) for _, event in best}) > 1
    }
    rows = [
        [
            shown(event.get("number")),
            run.error_text(error),
            count(params_of(event)),
            settings({name: value for name, value in _values(event).items() if name in differing}),
        ]
        for error, event in best
    ]
    ended = {number(event.get("number")) for _, event in measured}
    resting = {number(event.get("number")) for event in run.named("TrialStopped")} - ended
    stopped = f", {len(resting)} were stopped early" if resting else ""
    verb = "was" if len(measured) == 1 else "were"
    content = f"<p>{counted(len(measured), 'candidate')} {verb} trained{stopped}, {len(failed)} failed.</p>"
    content += _trials_figure(run, measured)
    if rows:
        same = settings({name: value for name, value in _values(best[0][1]).items() if name not in differing})
        content += "<p>The best of them:</p>" + table(["trial", run.error_label, X_LABEL, "hyperparameters"], rows)
        content += f"<p>All of these have {escape(same)}.</p>" if same and len(rows) > 1 else ""
    if failed:
        reasons = [f"trial {shown(event.get('number'))}: {shown(event.get('reason'))}" for event in failed[:FAILURES]]
        reasons += [f"and {len(failed) - FAILURES} more"] if len(failed) > FAILURES else []
        content += "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in reasons) + "</ul>"
    return section("Global search", content)


def _values(event: Fields) -> Fields:
    """Hyperparameters of a trial."""
    values = event.get("values")
    return values if isinstance(values, Mapping) else {}


def _trials_figure(run: Run, measured: Sequence[tuple[float, Fields]]) -> str:
    """Error over parameters; over the number of the trial where parameters were not written down.

    Over the cost of a front, where one was asked for. A line goes through its networks, or through the candidates that
    no other beats in both.
    """
    name = run.pareto or "params"
    noun = NOUNS[name]
    points = [
        Point(
            cost,
            error,
            text := f"trial {shown(event.get('number'))}: {_error_text(run, error)}, {count(cost)} {noun}",
            about=about(text, event.get("values")),
        )
        for error, event in measured
        if (cost := params_of(event, name)) is not None
    ]
    if not points:
        numbered = [(number(event.get("number")), error) for error, event in measured]
        points = [Point(n, error, f"trial {n:g}: {_error_text(run, error)}") for n, error in numbered if n is not None]
        return scatter(points, Axis("trial"), Axis(run.error_label, _ticks_of(run)))
    candidates, top = [*points], _top([point.y for point in points])
    for stage, title in STAGES[:1] if run.front else STAGES:  # the others are the last of the front
        where = (stage,) if stage else ()
        network = at(run.summary, *where)
        cost, error = number(at(network, name)), run.network_error(network)
        if cost is not None and error is not None:
            text = f"{title}: {_error_text(run, error)}, {count(cost)} {noun}"
            told = text if stage == "baseline" else about(text, run.summary.get("values"))
            points.append(Point(cost, error, text, title, stage or "delivered", told))
    front = _front_points(run, name)
    others = [*points[len(candidates) :], *front]
    top = None if top is None else max([top, *(point.y for point in others)])
    best = [] if front else _unbeaten(candidates)
    figure = scatter(
        [*points, *front],
        Axis(noun, log=True, line=run.budget.get(f"max_{name}")),
        Axis(run.error_label, _ticks_of(run)),
        path=front or best,
        top=top,
    )
    words = [f"The line joins candidates of which no other is smaller and better, by {noun} and error."] * bool(
        best[1:]
    )
    above = sum(point.y > top for point in candidates) if top is not None else 0
    words += [f"Triangles at the upper edge are {above} candidates of larger errors."] * bool(above)
    return (f"<p>{' '.join(words)}</p>" if words else "") + figure + ABOUT


def _top(errors: Sequence[float]) -> float | None:
    """Above which errors the figure ends, where a few large ones would leave no room for the others."""
    ranked = sorted(errors)
    if len(ranked) < CROWD:
        return None
    usual = ranked[round(USUAL_SHARE * (len(ranked) - 1))]
    return 1.2 * usual if ranked[-1] > 2 * usual > 0 else None


def _unbeaten(points: Sequence[Point]) -> list[Point]:
    """By rising x, those that have a smaller y than all before them."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.x, one.y)):
        if not best or point.y < best[-1].y:
            best.append(point)
    return best


def _front_points(run: Run, cost: str) -> list[Point]:
    points = []
    for member in run.front:
        x, error = number(member.get(cost)), run.network_error(member)
        if x is not None and error is not None:
            title = f"{shown(member.get('path'))}: {_error_text(run, error)}, {count(x)} {NOUNS[cost]}"
            points.append(Point(x, error, title, kind="front"))
    return points


def front(run: Run) -> str:
    """The networks of a front, which were trained longer than the candidates."""
    metric = run.metric
    differ = len({settings(member.get("values")) for member in run.front}) > 1  # sizes of one candidate do not
    rows = [
        [
            shown(member.get("path")),
            *(measure(metric.name, number(at(member, metric.name, part))) for part in ("validation", "test")),
            *(count(number(member.get(cost))) for cost in COSTS),
            *([settings(member.get("values"))] if differ else []),
        ]
        for member in run.front
    ]
    if not rows:
        return ""
    names = ["network", f"validation {metric.title}", f"test {metric.title}", X_LABEL, "dense", "MACs"]
    return section("Front", table([*names, "hyperparameters"] if differ else names, rows))


def _error_text(run: Run, error: float) -> str:
    return f"error {run.error_text(error)}"


def _ticks_of(run: Run) -> Callable[[float], str]:
    return (lambda error: f"{100 * error:.3g} %") if run.metric.form == "share" else "{:.3g}".format


def networks(run: Run) -> str:
    """Networks other than candidates, in the order in which they were trained.

    The last training learns from the validation rows too: a figure on them would say nothing.
    """
    rows = [
        [
            shown(event.get("name")),
            "learnt" if event.get("name") in SEEN else run.error_text(error_of(event)),
            *(count(number(event.get(name))) for name in COSTS),
        ]
        for event in run.named("NetworkTrained")
    ]
    if not rows:
        return ""
    return section("Networks trained in full", table(["network", run.error_label, X_LABEL, "dense", "MACs"], rows))


def local(run: Run) -> str:
    """Grow-and-prune of the last network that was edited: active connections over the training, and its steps."""
    steps = [
        (progress, after, event)
        for event in run.named("NetworkEdited")
        if (progress := number(event.get("progress"))) is not None and (after := number(event.get("after"))) is not None
    ]
    if not steps:
        return ""
    steps = [step for step in steps if step[2].get("name") == steps[-1][2].get("name")]
    points = [
        Point(100 * progress, after, f"at {progress:.0%} of the training: {count(after)} active connections")
        for progress, after, _ in steps
    ]
    label = "active connections"
    figure = scatter(points, Axis("training, %"), Axis(label), joined=True)
    rows = [
        [
            f"{progress:.1%}",
            "learnt" if event.get("name") in SEEN else _came_with(run, number(event.get("error"))),
            *(count(number(event.get(what))) for what in ("before", "after", "grown")),
            *(count(number(event.get(f"units_{when}"))) for when in ("before", "after")),
        ]
        for progress, _, event in thinned(steps, SHOWN_STEPS)
    ]
    name = run.metric.error_title if run.metric.form == "units" else run.metric.title
    names = [f"{name} before", "connections", "after", "of these grown", "units", "after"]
    intro = (
        f"<p>{len(steps)} steps changed the network. Errors are validation errors, with which it came to a step.</p>"
    )
    return section("Grow and prune", intro + figure + table(["training", *names], rows))


def _came_with(run: Run, error: float | None) -> str:
    """Figure of a step on validation rows; in standard deviations where the target's units are not known here."""
    return NONE if error is None else run.metric.written(run.metric.figure(error))
