"""The part of the page on the rounds of the search: how it stood, and how far its predictor could be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from steerage.report.figures import Axis, Point, scatter
from steerage.report.run import Fields, Run, error_of, listed, number
from steerage.report.text import decimal, section, shown, table, thinned

LISTED = 12  # rounds in the table
DRAWN = 3  # rounds whose predictions are drawn
HONEST = 0.8  # share of trials that an 80 % interval should hold


def rounds(run: Run) -> str:
    """After each round: the best so far, the predictor's ranking and its calibration, and what going on promised."""
    events = run.named("RoundFinished")
    if not events:
        return ""
    intro = (
        "<p>The predictor, cross-validated: how well it orders candidates that it has not seen (τ and ρ: 1 is the true "
        "order, 0 is chance), and the share of them that its 80 % intervals hold (coverage: less is too sure, more is "
        "too careful).</p>"
    )
    cards = _course(events, "tau", "Kendall τ", 0.0) + _course(events, "coverage", "coverage", HONEST)
    content = f'{intro}<div class="cards wide-cards">{cards}</div>' if cards else intro
    return section("Rounds of the search", content + _calibration(events) + _listed(run, events))


def _course(events: Sequence[Fields], name: str, label: str, level: float) -> str:
    """A figure of the rounds over trials; ``level``: what to compare with."""
    points = [
        Point(trials, value, f"after {trials:g} trials: {label} {value:.3f}")
        for event in events
        if (value := number(event.get(name))) is not None and (trials := number(event.get("trials"))) is not None
    ]
    if len(points) < 2:
        return ""
    figure = scatter(points, Axis("trials"), Axis(label, "{:.2g}".format, line=level), joined=True)
    return f"<figure>{figure}</figure>"


def _calibration(events: Sequence[Fields]) -> str:
    """Predicted against true places of held-out trials, with intervals, for a few of the rounds."""
    cards = ""
    for event in thinned([event for event in events if listed(event.get("held_out"))], DRAWN):
        points, missed = _predictions(event)
        if not points:
            continue
        figure = scatter(points, Axis("true place, %"), Axis("predicted place, %", "{:.3g}".format), diagonal=True)
        text = f"after {shown(event.get('trials'))} trials: {missed} of {len(points)} outside their intervals"
        cards += f"<figure>{figure}<figcaption>{text}</figcaption></figure>"
    if not cards:
        return ""
    intro = (
        "<p>A place is the share of trials that are better: 0 is the best. A bar is an 80 % interval; discs are trials "
        "that it holds, squares those that it misses. On the dashed line the prediction is right.</p>"
    )
    return f'<h3>Calibration of the predictor</h3>{intro}<div class="cards wide-cards">{cards}</div>'


def _predictions(event: Fields) -> tuple[list[Point], int]:
    """Held-out trials of a round in per cent, and how many their intervals miss."""
    points, missed = [], 0
    for row in listed(event.get("held_out")):
        places = [number(one) for one in listed(row)]
        if len(places) != 4 or any(one is None for one in places):
            continue
        found, expected, low, high = (100.0 * (one or 0.0) for one in places)
        inside = low <= found <= high
        missed += not inside
        title = f"true place {found:.0f} %, predicted {expected:.0f} % ({low:.0f} to {high:.0f} %)"
        points.append(Point(found, expected, title, kind="trial" if inside else "missed", span=(low, high)))
    return points, missed


def _listed(run: Run, events: Sequence[Fields]) -> str:
    errors = {number(event.get("number")): error_of(event) for event in run.named("TrialFinished")}
    percent = run.metric.form == "share"
    rows = []
    for event in thinned(events, LISTED):
        gain = number(event.get("gain"))
        rows.append([
            shown(event.get("round")),
            shown(event.get("trials")),
            shown(event.get("best_number")),
            run.error_text(errors.get(number(event.get("best_number")))),
            *(decimal(number(event.get(name))) for name in ("tau", "spearman", "rmse", "coverage")),
            decimal(gain) if not percent or run.pareto else run.error_text(gain),
        ])  # fmt: skip
    promised = "the front's hypervolume grow, as a share of it" if run.pareto else "the error fall"
    names = [
        "round", "trials", "best trial", run.error_label, "Kendall τ", "Spearman ρ", "RMSE of scores", "coverage",
        "gain",
    ]  # fmt: skip
    return f"<p>Gain: by how much the next candidate was expected to let {promised}.</p>" + table(names, rows)
