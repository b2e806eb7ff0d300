"""Figures as SVG text that takes its colours from the page, so that one figure serves light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

# Small enough for a telephone: at 360 pixels of width, the text still has 10.
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 14, 50
LINE, CHARACTER = 15, 8.0  # height of a line of text, and how wide a bold letter is at most, about
MANY = 100  # points above which discs are smaller


@dataclass(frozen=True)
class Point:
    """A place in a figure; ``title`` appears under the pointer, ``label`` beside the point, ``kind`` is a CSS class.

    ``about``: text that is shown below the figure when the point is clicked. ``span``: lower and upper end of a bar.
    """

    x: float
    y: float
    title: str = ""
    label: str = ""
    kind: str = "trial"
    about: str = ""
    span: tuple[float, float] | None = None


def scatter(
    points: Sequence[Point],
    *,
    x_label: str,
    y_label: str,
    limit: float | None = None,
    joined: bool = False,
    path: Sequence[Point] = (),
    log_x: bool = True,
    show_y: Callable[[float], str] = "{:g}".format,
    diagonal: bool = False,
    level: float | None = None,
    top: float | None = None,
    within: tuple[float, float] | None = None,
    names: Sequence[str] = (),
) -> str:
    """SVG of ``points``; ``limit`` is a vertical line, ``joined`` connects the points in their order,
    ``path`` is a line through some of them. ``diagonal``: both axes are alike, with a line where they agree;
    ``level``: a line at that height.
    ``top``: what lies above it is a triangle there. ``within``: what values can be, which no axis goes beyond.
    ``names``: what stands at the places 0, 1, ... of the x axis, in place of numbers.

    On a logarithmic x axis, points whose x is not positive are left out. Without any point the result is empty.
    """
    points = [point for point in points if point.x > 0 or not log_x]
    if not points:
        return ""
    scale = math.log10 if log_x else float
    xs = [scale(x) for x in ([point.x for point in points] + ([limit] if limit else []))]
    x_low, x_high = _padded(min(xs), max(xs), at_least=0.1)
    if top is not None:
        points = [point if point.y <= top else replace(point, y=top, kind="above") for point in points]
    ys = [y for point in points for y in (point.y, *(point.span or ()))] + ([] if level is None else [level])
    y_low, y_high = _padded(min(ys), max(ys), at_least=max(1e-3, 0.03 * max(map(abs, ys))))
    if min(ys) >= 0:
        y_low = max(0.0, y_low)
    if diagonal:
        x_low = y_low = min(x_low, y_low)
        x_high = y_high = max(x_high, y_high)
    if within is not None:
        x_low, x_high = max(x_low, scale(within[0])), min(x_high, scale(within[1]))
        y_low, y_high = max(y_low, within[0]), min(y_high, within[1])

    def x_at(x: float) -> float:
        return LEFT + (scale(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_at(y: float) -> float:
        return TOP + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    x_ticks = _log_ticks(x_low, x_high) if log_x else _ticks(x_low, x_high)
    show_x: Callable[[float], str] = short
    if names:
        x_ticks, show_x = [float(place) for place in range(len(names))], lambda value: names[round(value)]
    parts = [_axes(x_ticks, _ticks(y_low, y_high), x_at, y_at, show_x, show_y)]
    if diagonal:
        ends = [(x_at(both), y_at(both)) for both in (x_low, x_high)]
        places = " ".join(f'x{i}="{x:.1f}" y{i}="{y:.1f}"' for i, (x, y) in enumerate(ends, start=1))
        parts.append(f'<line class="diagonal" {places}/>')
    if level is not None:
        y = y_at(level)
        parts.append(f'<line class="diagonal" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}">{escape(x_label)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="axis" transform="translate(13 {middle}) rotate(-90)">{escape(y_label)}</text>')
    if limit:
        x = x_at(limit)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        anchor, shift = ("end", -5) if x > WIDTH / 2 else ("start", 5)
        parts.append(f'<text class="limit" x="{x + shift:.1f}" y="{TOP + 12}" text-anchor="{anchor}">budget</text>')
    line = points if joined else [point for point in path if point in points]
    if len(line) > 1:
        places = " ".join(f"{x_at(point.x):.1f},{y_at(point.y):.1f}" for point in line)
        parts.append(f'<polyline class="path" points="{places}"/>')
    parts += [
        f'<line class="span" x1="{x_at(point.x):.1f}" x2="{x_at(point.x):.1f}" '
        f'y1="{y_at(point.span[0]):.1f}" y2="{y_at(point.span[1]):.1f}"/>'
        for point in points
        if point.span is not None
    ]
    radius = 4.0 if len(points) <= MANY else 2.5
    parts += [_dot(point, x_at(point.x), y_at(point.y), radius) for point in points]
    parts += _labels([(x_at(point.x), y_at(point.y), point.label) for point in points if point.label])
    name = escape(f"{y_label} over {x_label}, {len(points)} points", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _dot(point: Point, x: float, y: float, radius: float) -> str:
    """A mark whose form tells the kind as well as its colour: discs are trials, squares and diamonds networks."""
    title = f"<title>{escape(point.title)}</title>" if point.title else ""
    kind, about = escape(point.kind, quote=True), ""
    if point.about:
        about = f' tabindex="0" role="button" data-about="{escape(point.about, quote=True)}"'
    if point.kind == "trial":
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{about}>{title}</circle>'
    if point.kind in ("baseline", "missed"):
        return f'<rect class="{kind}" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"{about}>{title}</rect>'
    if point.kind == "above":
        return f'<path class="trial" d="M{x:.1f} {y - 5:.1f}l4.5 8h-9z"{about}>{title}</path>'
    diamond = f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"
    return f'<path class="{kind}" d="{diamond}"{about}>{title}</path>'


def _labels(labels: Sequence[tuple[float, float, str]]) -> list[str]:
    """Labels beside their points, from the lowest up, each moved clear of those below it."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []  # left, right, height
    for x, y, label in sorted(labels, key=lambda item: -item[1]):
        anchor, shift = ("end", -10) if x > WIDTH * 0.65 else ("start", 10)
        wide = CHARACTER * len(label)
        left = x + shift - (wide if anchor == "end" else 0.0)
        height = min(y + 4, HEIGHT - BOTTOM - 5.0)  # clear of the axis
        for others_left, others_right, others_height in taken:  # by falling height
            if left < others_right and others_left < left + wide and height > others_height - LINE:
                height = min(height, others_height - LINE)
        taken.append((left, left + wide, height))
        parts.append(
            f'<text class="mark" x="{x + shift:.1f}" y="{height:.1f}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return parts


def _axes(
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
    show_x: Callable[[float], str],
    show_y: Callable[[float], str],
) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in y_ticks:
        y = y_at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(show_y(value))}</text>'
        )
    for value in x_ticks:
        x = x_at(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{escape(show_x(value))}</text>'
        )
    parts.append(f'<line class="frame" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    return "".join(parts)


def _padded(low: float, high: float, *, at_least: float) -> tuple[float, float]:
    pad = max(0.08 * (high - low), at_least)
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers in [low, high]."""
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 of each power of ten whose logarithm is in [low, high]; 1, 3 or the powers alone where that is many."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [tick for tick in ticks if low <= math.log10(tick) <= high]
        if len(inside) <= 7:
            break
    return inside if len(inside) > 2 else _ticks(10.0**low, 10.0**high)


def short(value: float) -> str:
    """A tick of an axis: ``1.5k``."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"
