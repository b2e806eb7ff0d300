"""The part of the page on how good the delivered network is, and where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from steerage.report.figures import Axis, Point, scatter
from steerage.report.run import Fields, Run, at, listed, number
from steerage.report.text import count, picture, section, shown, table

NAMED = 20  # classes up to which confusions are shown as a table
TARGETS = 6  # of several that are drawn
WORST = 10  # classes that are listed, those with the most wrong rows


def quality(run: Run) -> str:
    """Confusions, errors by class, how far its confidence can be trusted, and the rows that it gets most wrong."""
    found = at(run.analysis, "predictions")
    if not isinstance(found, Mapping):
        return ""
    part = shown(run.analysis.get("part")) or "test"
    content = f"<p>On {count(number(found.get('rows')))} {escape(part)} rows, which it has not learnt from.</p>"
    content += _confusion(found) + _labels(found) + _confidence(found) + _pairs(found, found.get("pairs"), "")
    for one in listed(found.get("targets"))[:TARGETS]:
        content += _pairs(found, at(one, "pairs"), f": {shown(at(one, 'name'))}")
    content += _hardest(found, part, upright=bool(run.asked.get("straighten")))
    return section("Where it is right and wrong", content)


def _confusion(found: Fields) -> str:
    matrix = [[number(one) or 0.0 for one in listed(row)] for row in listed(found.get("confusion"))]
    classes = [shown(one) for one in listed(found.get("classes"))]
    if not matrix or len(matrix) != len(classes):
        return ""
    content = ""
    if len(classes) <= NAMED:
        content += "<h3>Confusions</h3><p>A row per true class, a column per predicted one.</p>" + _heat(
            matrix, classes
        )
    rows = []
    for place, name in enumerate(classes):
        total, right = sum(matrix[place]), matrix[place][place]
        named = sum(row[place] for row in matrix)
        wrong = sorted(((n, classes[i]) for i, n in enumerate(matrix[place]) if i != place and n), reverse=True)
        mistaken = ", ".join(f"{other} ({count(n)})" for n, other in wrong[:3])
        rows.append((total - right, [name, count(total), _share(total - right, total), _share(right, named), mistaken]))
    rows.sort(key=lambda row: -row[0])
    title = "Errors by class" if len(rows) <= WORST else f"The {WORST} classes with the most errors"
    names = ["class", "rows", "error", "precision", "mistaken for"]
    return content + f"<h3>{title}</h3>" + table(names, [row for _, row in rows[:WORST]])


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "–"


def _heat(matrix: Sequence[Sequence[float]], classes: Sequence[str]) -> str:
    """Counts on a ground that is the darker the larger their share of the row; correct ones are framed."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ["", *classes])
    body = ""
    for place, row in enumerate(matrix):
        total = sum(row) or 1.0
        cells = "".join(
            f'<td class="{"right" if i == place else "wrong" if n else "none"}" style="--share:{n / total:.3f}">'
            f"{count(n) if n else '·'}</td>"
            for i, n in enumerate(row)
        )
        body += f"<tr><th>{escape(classes[place])}</th>{cells}</tr>"
    return f'<div class="wide"><table class="heat"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _confidence(found: Fields) -> str:
    points = []
    rows, gap = 0.0, 0.0
    for one in listed(found.get("confidence")):
        sure, right, n = (number(at(one, name)) for name in ("confidence", "right", "rows"))
        if sure is not None and right is not None and n is not None:
            text = f"{count(n)} rows at {sure:.0%} confidence: {right:.1%} right"
            points.append(Point(100 * sure, 100 * right, text))
            rows, gap = rows + n, gap + n * abs(sure - right)
    if len(points) < 2:
        return ""
    figure = scatter(
        points,
        Axis("confidence, %", within=(0.0, 100.0)),
        Axis("right, %", "{:.3g}".format, within=(0.0, 100.0)),
        joined=True,
        diagonal=True,
    )
    away = f"the rows are {100 * gap / rows:.1f} points off it on average"
    return f"<h3>Confidence</h3><p>On the dashed line confidence is what it says; {away}.</p>{figure}"


def _labels(found: Fields) -> str:
    rows = []
    for one in listed(found.get("labels")):
        there, said, both = (number(at(one, name)) or 0.0 for name in ("on", "named", "both"))
        rows.append([shown(at(one, "name")), count(there), _share(both, there), _share(both, said)])
    return "<h3>Labels</h3>" + table(["label", "rows", "found", "precision"], rows) if rows else ""


def _pairs(found: Fields, pairs: object, whose: str) -> str:
    points = []
    for pair in listed(pairs):
        numbers = [number(one) for one in listed(pair)]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
            points.append(Point(numbers[0], numbers[1], f"true {shown(numbers[0])}, predicted {shown(numbers[1])}"))
    if not points:
        return ""
    figure = scatter(points, Axis("true value"), Axis("predicted"), diagonal=True)
    rows, hardest = number(found.get("rows")) or 0.0, ", the hardest among them" * bool(listed(found.get("hardest")))
    drawn = f"<p>{count(len(points))} of the {count(rows)} rows{hardest}.</p>" if len(points) < rows else ""
    return f"<h3>Predicted and true values{escape(whose)}</h3>{drawn}" + figure


def _hardest(found: Fields, part: str, *, upright: bool) -> str:
    cards, rows = "", []
    for one in listed(found.get("hardest")):
        sure = number(at(one, "confidence"))
        words = [shown(at(one, name)) for name in ("row", "true", "predicted")]
        if (drawn := picture(at(one, "picture"), f"row {words[0]}")) is not None:
            share = "" if sure is None else f", {sure:.0%}"
            text = f"{escape(words[1])} as {escape(words[2])}{share}"
            cards += f"<figure>{drawn}<figcaption>{text}<br>row {escape(words[0])}</figcaption></figure>"
        else:
            rows.append([*words, *([] if sure is None else [f"{sure:.1%}"])])
    if not cards and not rows:
        return ""
    names = [f"{part} row", "true", "predicted", "confidence"]
    title = "<h3>The hardest rows</h3>"
    if not cards:
        return title + table(names[: len(rows[0])], rows)
    as_seen = "<p>Put upright, as the network sees them.</p>" * upright
    return f'{title}{as_seen}<div class="cards">{cards}</div>'
