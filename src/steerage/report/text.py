"""Values as the page writes them, and the few pieces of HTML that it is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypeVar

from steerage.metrics import METRICS, plain

STAGES = (("baseline", "plain baseline"), ("after_search", "after search"), ("", "delivered"))
NONE = "–"
FEW_EPOCHS = 10  # which are told with a decimal: no epochs of training would be none

T = TypeVar("T")


def section(title: str, content: str) -> str:
    """A headed part of the page; ``content`` is HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls on its own; names and cells are plain text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = " class=long" if len(text) > 40 else " class=n" if text[:1].isdigit() else ""
    return f"<td{kind}>{escape(text)}</td>"


def picture(data: object, words: str) -> str | None:
    """An image of PNG ``data`` in base64; None where it is none. ``words`` say what it shows."""
    if not isinstance(data, str) or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", data):
        return None
    return f'<img alt="{escape(words, quote=True)}" src="data:image/png;base64,{data}">'


def code(*lines: str) -> str:
    """Lines to copy."""
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def dotted(name: str) -> str:
    """HTML of a module's name, which may go on in a new line behind a dot: where there is no room, it breaks there."""
    return escape(name).replace(".", ".<wbr>")


BOUNDS = {
    "max_params": ("params", "parameter"),
    "max_macs": ("macs", "MAC"),
    "max_flash": ("flash_bytes", "flash byte"),
    "max_ram": ("ram_bytes", "RAM byte"),
    "max_instructions": ("instructions", "instruction"),
    "max_latency_ms": ("latency_ms", "ms for a row"),
}


ABOUT = '<pre class="about" aria-live="polite">A click on a mark shows its hyperparameters here.</pre>'


def about(title: str, values: object) -> str:
    """What ``ABOUT`` shows of a mark: its title, and a hyperparameter a line."""
    return "\n".join([title, *settings(values).split(", ")])


def measure(metric: str, value: float | None) -> str:
    """The figure ``value`` of a metric, by its name."""
    return NONE if value is None else METRICS[metric].written(value)


def thinned(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` of them, two or more, evenly spread, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def decimal(value: float | None) -> str:
    """Three decimals."""
    return NONE if value is None else f"{value:.3f}"


def count(value: float | None) -> str:
    """A whole number with thousands set apart."""
    return NONE if value is None else f"{value:,.0f}"


def counted(value: float, noun: str) -> str:
    """``3 parameters``."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def amount(cost: str, value: float | None) -> str:
    """``value`` of a cost by its name in the summary: a whole number, but for milliseconds and a few epochs."""
    if cost == "epochs" and value is not None and value < FEW_EPOCHS:
        return f"{round(value, 1):g}"
    return f"{value:.4g}" if cost == "latency_ms" and value is not None else count(value)


def bounded(bound: str, value: float) -> str:
    """``value`` of the bound of that name, or of what it bounds: ``3 parameters``, ``0.5 ms for a row``."""
    cost, noun = BOUNDS.get(bound, (bound, bound))
    return f"{amount(cost, value)} {noun}" if cost == "latency_ms" else counted(value, noun)


def shown(value: object) -> str:
    """One plain value; nothing for None."""
    return "" if value is None else plain(value) if isinstance(value, float) else str(value)


def setting(name: str, value: object) -> str:
    """What run.json has under ``name``, on one line; of a fingerprint as much as tells it from others."""
    text = settings(value)
    return f"{text[:12]}…" if name == "fingerprint" and len(text) > 12 else text


def settings(value: object) -> str:
    """Nested settings on one line: ``depth = 2, widths = 8, 4``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {settings(item)}" for name, item in value.items() if item is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(settings, value))
    return shown(value)
