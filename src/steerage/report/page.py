"""The page of a run: what was asked, what was delivered, and how it came about, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from steerage._version import __version__
from steerage.metrics import METRICS
from steerage.report.anatomy import anatomy
from steerage.report.mattered import mattered
from steerage.report.quality import quality
from steerage.report.rounds import rounds
from steerage.report.run import Run, at, first, number, read_run
from steerage.report.script import SCRIPT, SCRIPT_HASH
from steerage.report.sections import NOUNS, front, local, networks, trials
from steerage.report.style import CSS
from steerage.report.text import (
    BOUNDS,
    NONE,
    STAGES,
    amount,
    bounded,
    code,
    counted,
    measure,
    section,
    setting,
    shown,
    table,
)
from steerage.shellwords import joined, quoted
from steerage.store import write_atomic

COSTS = (
    ("params", "parameters (non-zero)"),
    ("dense_params", "parameters (dense)"),
    ("macs", "MACs"),
    ("flash_bytes", "flash, bytes"),
    ("ram_bytes", "RAM, bytes"),
    ("instructions", "instructions for a row, estimated"),
    ("latency_ms", "ms for a row"),
    ("epochs", "epochs of training"),
)


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` into the run directory ``folder`` from its JSON files, and return its path.

    Parts whose figures are missing are left out. Raises: BadBundle when the folder holds no run; SteerageError when
    it cannot be written to.
    """
    path = Path(folder) / "report.html"
    write_atomic(path, page(read_run(folder)))
    return path


def page(run: Run) -> str:
    """The whole page as HTML; whatever comes from the run is escaped."""
    sections = [
        _head(run),
        _result(run),
        front(run),
        quality(run),
        anatomy(run),
        trials(run),
        mattered(run),
        rounds(run),
        networks(run),
        local(run),
        _use(run),
        _settings(run),
    ]
    return document(f"steerage: {_data(run)}", sections)


def document(title: str, sections: Iterable[str]) -> str:
    """A page of HTML: whatever comes from runs must be escaped in ``sections`` already."""
    # The policy makes sure that nothing is fetched, and nothing run but our own few lines, should a value ever get past
    # the escaping.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '{SCRIPT_HASH}'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, sections))
        + f"\n</main>\n<footer>written by steerage {__version__}</footer>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _head(run: Run) -> str:
    delivered = _delivered(run) if run.summary else "The run is not finished."
    lead = f"<p class=lead>{escape(_asked(run))} {escape(delivered)}</p>"
    return f"<h1>{escape(_data(run))}</h1>\n{lead}{_over_budget(run)}"


def _asked(run: Run) -> str:
    bounds = [bounded(name, limit) for name, limit in run.budget.items()]
    minutes = number(run.asked.get("minutes"))
    within = f" with at most {' and '.join(bounds)}" if bounds else ""
    wish = f"networks for the front of error and {NOUNS[run.pareto]}" if run.pareto else "a network"
    time = f", in {minutes:g} minute{'' if minutes == 1 else 's'}" if minutes else ""
    return f"Asked for: {wish}{within}{time}."


def _delivered(run: Run) -> str:
    what = [
        bounded(bound, cost)
        for bound, (name, _) in BOUNDS.items()
        if (cost := number(run.summary.get(name))) is not None
    ]
    text = f"Delivered: {' and '.join(what[:2]) or 'a network'}"
    for metric in METRICS.values():
        name = metric.name
        value, plain = (number(at(run.summary, *path)) for path in ((name, "test"), ("baseline", name, "test")))
        if value is not None:
            text += f", test {metric.title} {measure(name, value)}"
            text += f" (plain baseline {measure(name, plain)})" if plain is not None else ""
    return f"{text}.{_taught(run)}"


def _taught(run: Run) -> str:
    """Who taught the network beside its own rows, if anybody did."""
    size = number(at(run.summary, "taught_by", "params"))
    if size is not None:
        return f" A network of {counted(int(size), 'parameter')} told it what it sees in each changed image, too."
    networks, rounds = (number(at(run.summary, "taught_by", name)) for name in ("networks", "rounds"))
    parts = [f"{counted(int(networks), 'network')} of the search"] if networks else []
    parts += [f"{counted(int(rounds), 'round')} of boosted trees"] if rounds else []
    return f" It learnt from made-up rows too, as told by {' and '.join(parts)}." if parts else ""


def _over_budget(run: Run) -> str:
    over = [
        f"{bounded(bound, cost)} where {amount(name, limit)} were allowed"
        for bound, (name, _) in BOUNDS.items()
        if (limit := run.budget.get(bound)) is not None
        and (cost := number(run.summary.get(name))) is not None
        and cost > limit
    ]
    return f"<p class=over>Over the budget: {escape(', '.join(over))}.</p>" if over else ""


def _result(run: Run) -> str:
    stages = [((stage,) if stage else ()) for stage, _ in STAGES]
    rows: list[list[str]] = []
    for metric in METRICS.values():
        for part in ("test", "validation"):
            values = [number(at(run.summary, *stage, metric.name, part)) for stage in stages]
            if any(value is not None for value in values):
                rows.append([f"{part} {metric.title}", *(measure(metric.name, value) for value in values)])
    for cost, name in COSTS:
        values = [number(at(run.summary, *stage, cost)) for stage in stages]
        if any(value is not None for value in values):
            rows.append([name, *(amount(cost, value) for value in values)])
    kept = [0, *(i for i in range(1, len(STAGES) + 1) if any(row[i] != NONE for row in rows))]
    names = ["", *(name for _, name in STAGES)]
    return section("Result", table([names[i] for i in kept], [[row[i] for i in kept] for row in rows])) if rows else ""


def _use(run: Run) -> str:
    network, command = str(run.folder / "network"), run.asked.get("command")
    content = ""
    if run.summary:
        place = quoted(network)
        timed = number(at(run.summary, "budget", "max_instructions")) is not None
        c = " --prefer speed" if timed else ""  # as it was priced
        shell = (
            f"steerage eval {place} DATA",
            f"steerage export {place} --to onnx",
            f"steerage export {place} --to c{c}",
            f"steerage verify {place} DATA{c}    # the C code on an emulated board",
        )
        python = ("import steerage", "", f"network = steerage.load({network!r})", "network.predict(X)")
        content += f"<p>Measure it on other data, and export it:</p>{code(*shell)}"
        content += f"<p>Use it in Python:</p>{code(*python)}"
    elif (run.folder / "network" / "network.json").is_file():
        content += f"<p>The best network so far:</p>{code('import steerage', '', f'steerage.load({network!r})')}"
    if command:
        line = joined(map(str, command)) if isinstance(command, list) else shown(command)
        content += f"<p>Make it again, or go on with a run that was stopped:</p>{code(line)}"
    return section("Use it", content) if content else ""


def _settings(run: Run) -> str:
    fields = {**run.asked, "versions": run.asked.get("versions") or run.summary.get("versions")}
    seconds = run.summary.get("seconds")
    if isinstance(seconds, Mapping):
        fields["seconds"] = {
            name: round(value, 1) for name, item in seconds.items() if (value := number(item)) is not None
        }
    rows = [[name, text] for name, value in fields.items() if name != "command" and (text := setting(name, value))]
    return section("How it was run", table(["setting", "value"], rows)) if rows else ""


def _data(run: Run) -> str:
    data = run.asked.get("data")
    return shown(first(data, "name", "source") if isinstance(data, Mapping) else data) or run.folder.resolve().name
