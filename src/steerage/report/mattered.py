"""The part of the page on hyperparameters: which of them mattered, and what the predictor expects of their values."""

from __future__ import annotations

from html import escape

from steerage.report.figures import Axis, Point, scatter
from steerage.report.run import Run, at, listed, number
from steerage.report.text import section, shown

DRAWN = 6


def mattered(run: Run) -> str:
    """Importance of hyperparameters, and partial dependence of the error on the first of them."""
    genes = [one for one in listed(run.analysis.get("genes")) if number(at(one, "share")) is not None]
    if not genes:
        return ""
    intro = (
        "<p>What the accuracy predictor expects if one hyperparameter of the tried candidates were changed and the "
        "others stayed: the mean error for each value. Bars: how much of that variation each one makes.</p>"
    )
    shares = [(shown(at(one, "name")), number(at(one, "share")) or 0.0) for one in genes]
    bars = "".join(
        f'<div class="bar"><span>{escape(name)}</span><i style="--share:{share:.3f}"></i><b>{share:.0%}</b></div>'
        for name, share in shares
    )
    figures = "".join(_dependence(run, one) for one in genes[:DRAWN])
    return section(
        "What mattered", f'{intro}<div class="bars">{bars}</div><div class="cards wide-cards">{figures}</div>'
    )


def _dependence(run: Run, gene: object) -> str:
    values, errors = listed(at(gene, "values")), [number(one) for one in listed(at(gene, "errors"))]
    pairs = [(value, error) for value, error in zip(values, errors, strict=False) if error is not None]
    if len(pairs) < 2:
        return ""
    name, places = shown(at(gene, "name")), range(len(pairs))
    points = [
        Point(place, error, f"{name} = {shown(value)}: {run.error_text(error)}")
        for place, (value, error) in zip(places, pairs, strict=True)
    ]
    percent = run.metric.form == "share"
    figure = scatter(
        points,
        Axis(name, names=[f"{value:.2g}" if isinstance(value, float) else shown(value) for value, _ in pairs]),
        Axis("expected error", (lambda error: f"{100 * error:.3g} %") if percent else "{:.3g}".format),
        joined=True,
    )
    return f"<figure>{figure}</figure>"
