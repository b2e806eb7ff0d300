"""The part of the page on how the delivered network is built: layers, what they read, where connections are left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from html import escape

from steerage.report.run import Run, at, listed, number
from steerage.report.text import count, dotted, picture, section, shown, table

SHOWN = 80  # layers that are drawn
COLUMNS, OPEN_COLUMNS = 30, 10  # of a table that are listed, and that are seen without a click
ROW, WIDTH = 24, 460
NAMES, ARCS, BARS = 130, 46, 150  # right end of the names; room for arcs; the longest bar
LEFT = NAMES + ARCS


def anatomy(run: Run) -> str:
    """The network drawn layer by layer, what is still wired to its input, patterns of connections, costs by layer."""
    layers = [one for one in listed(at(run.analysis, "structure", "layers")) if at(one, "name") is not None]
    if not layers:
        return ""
    content = _drawn(layers) + _inputs(run) + _patterns(layers) + _costs(layers)
    return section("The network", content)


def _drawn(layers: Sequence[object]) -> str:
    """A row per layer: its name, arcs from earlier layers that it reads, a bar of its size, its connections."""
    some = layers[:SHOWN]
    dense = [max(1.0, number(at(one, "dense")) or 1.0) for one in some]
    most = math.log1p(max(dense))
    first = len(_shared([shown(at(one, "name")) for one in layers]))
    bars, arcs = [f'<text class="name" x="{NAMES}" y="{ROW - 8}">input</text>'], ""
    for place, layer in enumerate(some):
        y = ROW * (place + 1)
        active = number(at(layer, "weights")) or 0.0
        long = max(6.0, BARS * math.log1p(dense[place]) / most)
        share = min(1.0, active / dense[place])
        shape = " × ".join(shown(side) for side in listed(at(layer, "shape")))
        name, kind = shown(at(layer, "name")), shown(at(layer, "kind"))
        share_of = f"{count(active)} of {count(dense[place])}" if active < dense[place] else count(active)
        title = f"{name}: {kind} {shape}, {count(active)} of {count(dense[place])} connections"
        bars.append(
            f"<g><title>{escape(title)}</title>"
            f'<text class="name" x="{NAMES}" y="{y + 16}">{escape(_short(name[first:]))}</text>'
            f'<rect class="dense" x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{ROW - 6}" rx="3"/>'
            f'<rect class="active" x="{LEFT}" y="{y + 3}" width="{max(1.5, long * share):.1f}" '
            f'height="{ROW - 6}" rx="3"/>'
            f'<text class="layer" x="{LEFT + long + 6:.1f}" y="{y + 16}">{escape(share_of)}</text></g>'
        )
        arcs += _arcs(some, place)
    more = f"<p>and {len(layers) - SHOWN} more layers</p>" if len(layers) > SHOWN else ""
    legend = (
        "<p>A bar for each layer that has weights, from the input down, as long as the logarithm of its dense size; "
        "filled as far as its connections are active.</p>"
    )
    if arcs:
        legend += (
            "<p>Arcs are layers that read past the one before them: the thicker, the more connections are left of "
            "those that it has (the pointer tells how many).</p>"
        )
    size = f"0 0 {WIDTH} {ROW * (len(some) + 1) + 8}"
    drawing = f'<svg class="network" viewBox="{size}" role="img" aria-label="the network, layer by layer">'
    return f"{legend}{drawing}{''.join(bars)}{arcs}</svg>{more}"


def _arcs(layers: Sequence[object], place: int) -> str:
    """From the rows of the layers that the one at ``place`` reads, other than the one before it, to its own."""
    sources = [number(one) for one in listed(at(layers[place], "reads"))]
    wires = [number(one) or 0.0 for one in listed(at(layers[place], "wires"))]
    wires = wires if len(wires) == len(sources) else [1.0] * len(sources)
    arcs = ""
    for source, wire in zip(sources, wires, strict=True):
        if source is None or not -1 <= source < place - 1:
            continue
        before, into = (shown(at(layers[int(source)], "name")) if source >= 0 else "input"), at(layers[place], "name")
        top, bottom = ROW * (source + 1) + ROW / 2, ROW * (place + 1) + ROW / 2
        bend = LEFT - 5 - min(ARCS - 8, 10 + 6 * math.sqrt(place - source))
        title = f"{before} to {shown(into)}: {shown(wire)} connections" if wires != [1.0] * len(sources) else ""
        arcs += (
            f'<path class="skip" stroke-width="{0.8 + 3.2 * wire / (sum(wires) or 1.0):.1f}" '
            f'd="M{LEFT - 3} {top:.0f}C{bend:.0f} {top:.0f} {bend:.0f} {bottom:.0f} {LEFT - 3} {bottom:.0f}">'
            f"<title>{escape(title)}</title></path>"
        )
    return arcs


def _shared(names: Sequence[str]) -> str:
    """The parts with which all of several names begin, and which tell nothing: ``net.``."""
    parts = [name.split(".")[:-1] for name in names]
    shared = [one[0] for one in itertools.takewhile(lambda one: len(set(one)) == 1, zip(*parts, strict=False))]
    return "".join(f"{part}." for part in shared) if len(names) > 1 else ""


def _short(name: str, most: int = 17) -> str:
    """The end of a name: its beginning is that of all."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _inputs(run: Run) -> str:
    found = at(run.analysis, "structure", "inputs")
    wired, drawn = number(at(found, "wired")), picture(at(found, "picture"), "connections from each pixel")
    if drawn is not None:
        text = f"{count(wired)} pixels are wired to the first layers; the lighter, the more connections read it"
        card = f"<figure>{drawn}<figcaption>{text}</figcaption></figure>"
        return f'<h3>What it looks at</h3><div class="cards large">{card}</div>'
    columns = at(found, "columns")
    if not isinstance(columns, dict) or not columns:
        return ""
    ordered = sorted(((number(n) or 0.0, str(name)) for name, n in columns.items()), key=lambda one: (-one[0], one[1]))
    read, unread = [one for one in ordered if one[0] > 0], [name for n, name in ordered if n <= 0]
    rows = [[name, count(n)] for n, name in read[:COLUMNS]]
    rows += [[f"and {len(read) - COLUMNS} more", ""]] if len(read) > COLUMNS else []
    names, folded = ["column", "connections"], ""
    if len(rows) > OPEN_COLUMNS:
        others = len(read) - OPEN_COLUMNS
        folded = f"<details><summary>{count(others)} more</summary>{table(names, rows[OPEN_COLUMNS:])}</details>"
    rest = (
        f"<p>Nothing reads: {escape(', '.join(unread[:COLUMNS]))}{' …' if len(unread) > COLUMNS else ''}.</p>"
        if unread
        else ""
    )
    return "<h3>What it looks at</h3>" + table(names, rows[:OPEN_COLUMNS]) + folded + rest


def _patterns(layers: Sequence[object]) -> str:
    cards = ""
    for layer in layers:
        dense, active = number(at(layer, "dense")), number(at(layer, "weights"))
        drawn = picture(at(layer, "mask"), f"connections of {shown(at(layer, 'name'))}")
        if drawn is not None and dense and active is not None and active < dense:
            text = f"{dotted(shown(at(layer, 'name')))}<br>{active / dense:.0%} of {count(dense)}"
            cards += f"<figure>{drawn}<figcaption>{text}</figcaption></figure>"
    if not cards:
        return ""
    intro = "<p>A row per unit, a column per weight that it could have; light is where there is one.</p>"
    return f'<h3>Connections that are left</h3>{intro}<div class="cards">{cards}</div>'


def _costs(layers: Sequence[object]) -> str:
    figures = {name: [number(at(one, name)) or 0.0 for one in layers] for name in ("weights", "dense", "macs")}
    totals = {name: sum(values) or 1.0 for name, values in figures.items()}
    rows = [
        [
            shown(at(layer, "name")),
            shown(at(layer, "kind")),
            " × ".join(shown(side) for side in listed(at(layer, "shape"))),
            *(count(figures[name][place]) for name in ("weights", "dense")),
            f"{figures['weights'][place] / totals['weights']:.1%}",
            count(figures["macs"][place]),
            f"{figures['macs'][place] / totals['macs']:.1%}",
        ]
        for place, layer in enumerate(layers[:SHOWN])
    ]
    names = ["layer", "kind", "weight", "active", "dense", "share", "MACs", "share"]
    return "<details><summary>Cost by layer</summary>" + table(names, rows) + "</details>"
