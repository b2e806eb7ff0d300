"""The rows of the networks: each section measures each network once, and keeps what it measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from common import Measured

from device_rows import correct, emulated, host, rivals
from device_rows.networks import TASKS

Row = dict[str, Any]
SECTIONS: dict[str, tuple[Callable[..., Row], Callable[[Row], list[Row]]]] = {
    "correct": (correct.measured_of, correct.figures),
    "emulated": (emulated.measured_of, emulated.figures),
    "rivals": (rivals.measured_of, rivals.figures),
    "host": (host.measured_of, host.figures),
}


def figures(measured: Measured, section: str, runs: Path, *, python: str | None, kept: bool) -> Iterator[Row]:
    """Rows of the result file of one section; measured where this source was not, unless ``kept``.

    ``python``: the interpreter that has the other tools; without it they are not measured.
    """
    measure, rows_of = SECTIONS[section]
    if section == "rivals" and python is not None:
        measure = partial(measure, python=python)
    elif section == "rivals" and not kept:
        print("rivals: not measured, since there is no --rivals PYTHON")
        kept = True
    for name in TASKS:
        key = f"networks {name}: {section}"
        if not kept and measured.get(key) is None:
            measured.put(key, measure(name, runs))
            print(key, flush=True)
        found = measured.get(key, any_source=True)
        if found is not None:
            yield from (one | {"name": f"{name}: {one['name']}", "commit": found["commit"]} for one in rows_of(found))
