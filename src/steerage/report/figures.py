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


def short(value: float) -> str:
    """A tick of an axis: ``1.5k``."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Axis:
    """One side of a figure. ``show`` writes its ticks.

    ``log``: logarithmic; what is not positive is left out. ``line``: a line across the figure at that value, which is
    in sight. ``within``: what values can be, beyond which it does not go. ``names``: what stands at the places
    0, 1, ... in place of numbers.
    """

    label: str
    show: Callable[[float], str] = short
    log: bool = False
    line: float | None = None
    within: tuple[float, float] | None = None
    names: Sequence[str] = ()

    def scaled(self, value: float) -> float:
        """What distances on it are proportional to."""
        return math.log10(value) if self.log else value

    def bounded(self, low: float, high: float) -> tuple[float, float]:
        """The part of [low, high], scaled, that ``within`` leaves."""
        least, most = (low, high) if self.within is None else map(self.scaled, self.within)
        return max(low, least), min(high, most)

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """Values in [low, high], scaled, with what is written there."""
        if self.names:
            return [(float(place), name) for place, name in enumerate(self.names)]
        return [(value, self.show(value)) for value in (_log_ticks if self.log else _ticks)(low, high)]


def scatter(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    joined: bool = False,
    path: Sequence[Point] = (),
    diagonal: bool = False,
    top: float | None = None,
) -> str:
    """SVG of ``points``; ``joined`` connects them in their order, ``path`` is a line through some of them.

    ``diagonal``: both axes are alike, with a line where they agree. ``top``: what lies above it is a triangle there.
    A line across the x axis is the budget. Without any point the result is empty.
    """
    points = [point for point in points if point.x > 0 or not x.log]
    if not points:
        return ""
    if top is not None:
        points = [point if point.y <= top else replace(point, y=top, kind="above") for point in points]
    xs = [x.scaled(value) for value in (*(point.x for point in points), *([x.line] if x.line else []))]
    ys = [value for point in points for value in (point.y, *(point.span or ()))]
    ys += [] if y.line is None else [y.line]
    x_low, x_high = _padded(min(xs), max(xs), at_least=0.1)
    y_low, y_high = _padded(min(ys), max(ys), at_least=max(1e-3, 0.03 * max(map(abs, ys))))
    if min(ys) >= 0:
        y_low = max(0.0, y_low)
    if diagonal:
        x_low = y_low = min(x_low, y_low)
        x_high = y_high = max(x_high, y_high)
    (x_low, x_high), (y_low, y_high) = x.bounded(x_low, x_high), y.bounded(y_low, y_high)
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def x_at(value: float) -> float:
        return LEFT + (x.scaled(value) - x_low) / (x_high - x_low) * (right - LEFT)

    def y_at(value: float) -> float:
        return TOP + (y_high - value) / (y_high - y_low) * (bottom - TOP)

    parts = [_axes(x.ticks(x_low, x_high), y.ticks(y_low, y_high), x_at, y_at)]
    if diagonal:
        parts.append(_line("diagonal", x_at(x_low), y_at(x_low), x_at(x_high), y_at(x_high)))
    if y.line is not None:
        parts.append(_line("diagonal", LEFT, y_at(y.line), right, y_at(y.line)))
    parts.append(f'<text class="axis" x="{(LEFT + right) / 2}" y="{HEIGHT - 10}">{escape(x.label)}</text>')
    middle = (TOP + bottom) / 2
    parts.append(f'<text class="axis" transform="translate(13 {middle}) rotate(-90)">{escape(y.label)}</text>')
    if x.line:
        across = x_at(x.line)
        parts.append(_line("limit", across, TOP, across, bottom))
        anchor, shift = ("end", -5) if across > WIDTH / 2 else ("start", 5)
        place = f'x="{across + shift:.1f}" y="{TOP + 12}" text-anchor="{anchor}"'
        parts.append(f'<text class="limit" {place}>budget</text>')
    line = points if joined else [point for point in path if point in points]
    if len(line) > 1:
        places = " ".join(f"{x_at(point.x):.1f},{y_at(point.y):.1f}" for point in line)
        parts.append(f'<polyline class="path" points="{places}"/>')
    for point in points:
        if point.span is not None:
            parts.append(_line("span", x_at(point.x), y_at(point.span[0]), x_at(point.x), y_at(point.span[1])))
    radius = 4.0 if len(points) <= MANY else 2.5
    parts += [_dot(point, x_at(point.x), y_at(point.y), radius) for point in points]
    parts += _labels([(x_at(point.x), y_at(point.y), point.label) for point in points if point.label])
    name = escape(f"{y.label} over {x.label}, {len(points)} points", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(parts)}</svg>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>'


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
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value, text in y_ticks:
        y = y_at(value)
        parts.append(_line("grid", LEFT, y, right, y))
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x_ticks:
        x = x_at(value)
        parts.append(_line("grid", x, bottom, x, bottom + 5))
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{escape(text)}</text>')
    parts.append(_line("frame", LEFT, bottom, right, bottom))
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
