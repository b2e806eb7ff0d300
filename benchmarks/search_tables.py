"""The global search against its peers in tables of architectures that others have trained.

    python benchmarks/search_tables.py [SECTION ...] [--seeds N] [--jobs N] [--data DIR] [--tables NAME ...]
                                       [--methods NAME ...] [--kept]

Sections: ``recorded`` (a training shows one of the recorded repeats), ``simulated`` (the truth plus Gaussian noise as
large as that of the repeats; the last trials train the best few again), ``budgets`` (bounds on the costs),
``predictor`` and ``thinking``; all of them by default. Each run is kept in ``results/search_tables.rows.jsonl``: a
peer's for good, one of ours until the package's source changes. ``--kept`` measures nothing and uses what is there,
whatever source it was measured with. With ``--data`` the name of the folder is added to those of the results.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from common import SHARED, write
from nas_tables.kept import OURS, Kept
from nas_tables.prediction import PREDICTOR
from nas_tables.searches import METHODS, RECORDED, SIMULATED, UNDER_BUDGETS
from nas_tables.section import Options
from nas_tables.thinking import THINKING

SECTIONS = {
    "recorded": RECORDED,
    "simulated": SIMULATED,
    "budgets": UNDER_BUDGETS,
    "predictor": PREDICTOR,
    "thinking": THINKING,
}


def arguments(words: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="The global search against its peers in tables of architectures.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tables", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=[], choices=METHODS)
    parser.add_argument("--kept", action="store_true")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.sections if name not in SECTIONS]:
        parser.error(f"sections are {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    return asked


def main(words: list[str]) -> None:
    asked = arguments(words)
    folder = asked.data or SHARED / "nas"
    tables = tuple(path for path in sorted(folder.glob("*.npz")) if not asked.tables or path.stem in asked.tables)
    if not tables:
        print(f"no tables in {folder}: searches and predictor are skipped")
    name = f"search_tables_{folder.name}" if asked.data else "search_tables"
    options, kept = Options(tables, asked.seeds, tuple(asked.methods)), Kept(name, any_source=asked.kept)
    rows, seconds = [], 0.0
    for title in asked.sections or SECTIONS:
        section = SECTIONS[title]
        if not asked.kept:
            measure = functools.partial(section.measure, options)
            jobs = 1 if section.alone else asked.jobs
            kept.make(section.runs(options), measure, jobs=jobs, fresh=section.alone)
        figures, lines = section.figures(options, kept.found)
        runs = [run for run in section.runs(options) if run in kept.found and run.method == OURS]
        commits = ", ".join(sorted({str(kept.found[run]["commit"]) for run in runs}))
        rows += [one | {"commit": commits} for one in figures]
        seconds += sum(kept.found[run].get("seconds") or 0.0 for run in section.runs(options) if run in kept.found)
        print("\n".join(lines), flush=True)
    command = " ".join(["python benchmarks/search_tables.py", *words])
    if rows:
        print(write(name, rows, command=command, seconds=seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
