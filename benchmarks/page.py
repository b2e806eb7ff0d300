"""Writes docs/results.md and the tables of other pages from the files in results/: no figure is typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from paper import CASES, ELSEWHERE, OTHER_CLAIMS, command_of
from paper_rows import cifar

from steerage.bundle.zoo import ZOO, zoo_names
from steerage.report.figures import Axis, Point, scatter

RESULTS = Path(__file__).resolve().parent / "results"
ROOT = RESULTS.parents[1]
PAGE, README, SEARCH = ROOT / "docs" / "results.md", ROOT / "README.md", ROOT / "docs" / "search.md"
LOCAL, DEVICES = ROOT / "docs" / "grow-and-prune.md", ROOT / "docs" / "devices.md"
PICTURE = ROOT / "docs" / "img" / "thinking.svg"
# Where an image stands there is no page to take colours from; they are those of its light side.
STYLE = (
    "svg{background:#fff;font-family:sans-serif}text{font-size:13px;fill:#555}.axis{text-anchor:middle}"
    ".grid,.frame{stroke:#ccc}.path{fill:none;stroke:#36c}circle{fill:#36c}"
)
COUNTED = ("rmse", "parameters", "s", "bytes", "cores", "instructions", "rows", "words", "characters", "commands")
DATA = {
    "digits": ("`digits` (scikit-learn)", 2),
    "letter": ("UCI letter", 10),
    "satellite": ("UCI satellite", 5),
    "california_housing": ("California housing", 5),
    "mnist": ("MNIST", 20),
}  # rows of main_job: how the README calls them, and their minutes


def shown(row: dict[str, Any], key: str) -> str:
    """A figure of ``row`` in its unit, or a dash."""
    value = row[key]
    if value is None:
        return "-"
    if row["unit"] == "fraction":
        return f"{100 * value:.2f}%"
    return f"{value:,.0f}" if row["unit"] in COUNTED else f"{value:.4f}"


def with_spread(row: dict[str, Any]) -> str:
    """A figure of ``row`` in its unit, and its spread where there were several."""
    spread = "" if row["std"] is None else f" ± {shown(row, 'std').rstrip('%')}"
    return shown(row, "value") + spread


def table(document: dict[str, Any]) -> str:
    """All rows of one result file as a Markdown table."""
    lines = ["| figure | value | spread | n | bar | holds | commit |", "|---|---|---|---|---|---|---|"]
    for row in document["rows"]:
        holds = {True: "yes", False: "**no**", None: "-"}[row["holds"]]
        cells = [row["name"], shown(row, "value"), shown(row, "std"), str(row["n"]), shown(row, "bar"), holds]
        cells.append(row.get("commit", document["commit"]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def headlines(document: dict[str, Any]) -> str:
    """The README's table of what was delivered, from the rows of main_job."""
    rows = {row["name"]: row for row in document["rows"]}
    lines = ["| data | budget | minutes | cores | runs | plain baseline | delivered |", "|---|---|---|---|---|---|---|"]
    for name, (data, minutes) in DATA.items():
        metric = "r2" if f"{name}: test r2" in rows else "error"
        word, final, before = ("error", "R²")[metric == "r2"], rows[f"{name}: test {metric}"], f"{name}: baseline"
        cells = [
            data,
            f"{rows[f'{name}: parameters']['bar']:,.0f} parameters",
            str(minutes),
            shown(rows[f"{name}: cores"], "value"),
            str(final["n"]),
            f"test {word} {shown(rows[f'{before} test {metric}'], 'value')} with "
            f"{shown(rows[f'{before} parameters'], 'value')} parameters",
            f"test {word} {with_spread(final)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ablation(document: dict[str, Any]) -> str:
    """Regrets by variant, and by table and number of trials: of the best trained, and in brackets of the one named."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for row in document["rows"]:
        variant, where, _ = row["name"].split(": ")
        place, what = where.rsplit(", ", 1)
        figures.setdefault(variant, {}).setdefault(place, {})[what] = row["value"]
    places = list(next(iter(figures.values())))
    lines = ["| " + " | ".join(["what is changed", *places]) + " |", "|---" * (len(places) + 1) + "|"]
    for variant, found in figures.items():
        cells = [f"{found[at]['trained']:.4f} ({found[at]['named']:.4f})" if at in found else "-" for at in places]
        lines.append("| " + " | ".join([variant, *cells]) + " |")
    return "\n".join(lines)


def grown(document: dict[str, Any], section: str) -> str:
    """Test errors by method and task of one section of grow_prune, with the standard error of the mean."""
    figures: dict[str, dict[str, str]] = {}
    seeds: dict[str, int] = {}
    for row in document["rows"]:
        where, task, what = (*row["name"].split(": "), "", "")[:3]
        if where == section and what.endswith(", test error"):
            spread = "" if row["std"] is None else f" ± {100 * row['std'] / row['n'] ** 0.5:.2f}"
            figures.setdefault(what.removesuffix(", test error"), {})[task] = f"{100 * row['value']:.2f}{spread}"
            seeds[task] = max(row["n"], seeds.get(task, 0))
    heads = [f"{task} ({n} seed{'' if n == 1 else 's'})" for task, n in seeds.items()]
    lines = ["| " + " | ".join(["test error, %", *heads]) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        "| " + " | ".join([method, *(found.get(task, "-") for task in seeds)]) + " |"
        for method, found in figures.items()
    ]
    return "\n".join(lines)


def alone(document: dict[str, Any]) -> str:
    """Test error, bar and cost of each task of the section ``absolute`` of grow_prune."""
    lines = ["| task and parameters | test error, % | bar | seeds | seconds a run |", "|---|---|---|---|---|"]
    for row in document["rows"]:
        section, task = row["name"].split(": ")[:2]
        if section == "absolute":
            spread = "" if row["std"] is None else f" ± {100 * row['std'] / row['n'] ** 0.5:.2f}"
            cells = [
                task,
                f"{100 * row['value']:.2f}{spread}",
                f"{100 * row['bar']:.2f}",
                str(row["n"]),
                f"{row['seconds']:.0f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def overhead(document: dict[str, Any]) -> str:
    """What masks and edits add to dense training of the same network, as medians over pairs."""
    lines = ["| task | times dense training | bar | pairs |", "|---|---|---|---|"]
    for row in document["rows"]:
        section, *rest = row["name"].split(": ")
        if section == "overhead":
            what = ": ".join(rest).removesuffix(", times dense training")
            lines.append(f"| {what} | {row['value']:.3f} | {row['bar']:.2f} | {row['n']} |")
    return "\n".join(lines)


def thinking(document: dict[str, Any]) -> str:
    """A picture, SVG, of the seconds that one proposal takes over the trials before it."""
    name = re.compile(r"thinking: one batch after (\d+) trials, seconds")
    figures = [(int(found[1]), row["value"]) for row in document["rows"] if (found := name.fullmatch(row["name"]))]
    points = [Point(trials, seconds, f"{trials:,} trials: {seconds:.2f} s") for trials, seconds in sorted(figures)]
    x, y = Axis("trials before it", log=True), Axis("seconds for one proposal")
    drawn = scatter(points, x, y, joined=True)
    style = f"<style>{STYLE}</style>"
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{style}", 1) + "\n"


def paper() -> str:
    """The paper's rows: what it claims, the command, what came of it here and of the plain baseline, and the cost."""
    lines = ["| row | the paper | command | here | after the search | plain baseline | runs, hours each, hardware |"]
    lines.append("|---" * 7 + "|")
    for name in CASES:
        path = RESULTS / f"paper_{name}.json"
        if not path.is_file():
            lines.append(f"| {name} | {CASES[name].claim} | `{command_of(name)}` | not run here yet | | | |")
            continue
        document = json.loads(path.read_text())
        rows = {row["name"].removeprefix(f"{name}: "): row for row in document["rows"]}
        final = rows["test error"]
        missed = "" if final["holds"] is not False else f" (bar {shown(final, 'bar')} missed)"
        cells = [name, CASES[name].claim, f"`{command_of(name)}`"]
        cells.append(f"{with_spread(final)} with {shown(rows['parameters'], 'value')} parameters{missed}")
        for stage in ("after_search", "baseline"):
            error, size = rows.get(f"{stage} test error"), rows.get(f"{stage} parameters")
            cells.append(f"{shown(error, 'value')} with {shown(size, 'value')}" if error and size else "-")
        cores = shown(rows["cores"], "value")
        cells.append(f"{final['n']}, {rows['hours']['value']:.2f} h, {cores} cores of {document['hardware']['cpu']}")
        lines.append("| " + " | ".join(cells) + " |")
    for name, claim in OTHER_CLAIMS.items():
        path = RESULTS / f"paper_{name}.json"
        cells = ["not run here yet", "", "", ""]
        if path.is_file():
            document = json.loads(path.read_text())
            cells = of_pairs(name, document) if name == cifar.NAME else of_kinds(document)
        lines.append("| " + " | ".join([name, claim, f"`python benchmarks/paper.py {name}`", *cells]) + " |")
    for name, (claim, command) in ELSEWHERE.items():
        lines.append(f"| {name} | {claim} | `{command}` | not run here yet: needs a GPU | | | |")
    return "\n".join(lines)


def of_kinds(document: dict[str, Any]) -> list[str]:
    """Cells of a row whose networks are one network under several recipes."""
    errors = {
        kind: row for row in document["rows"] if (kind := row["name"].removesuffix(": test error")) != row["name"]
    }
    hours = [row["value"] for row in document["rows"] if row["unit"] == "hours"]
    runs = sum(row["n"] for row in errors.values())
    cost = f"{runs}, {min(hours):.2f} to {max(hours):.2f} h, 1 core of {document['hardware']['cpu']}"
    return ["; ".join(f"{kind}: {with_spread(row)}" for kind, row in errors.items()), "", "", cost]


def of_pairs(name: str, document: dict[str, Any]) -> list[str]:
    """Cells of a row whose networks are told against a baseline, pair by pair; a link where there is no pair yet."""
    rows = {row["name"].removeprefix(f"{name}: "): row for row in document["rows"]}
    gain = rows.get("synthesized better than baseline by")
    if gain is None:
        return [f"[its figures](#paper_{name})", "", "", ""]

    def of(kind: str) -> str:
        error, params = rows.get(f"{kind}, test error"), rows.get(f"{kind}, parameters")
        if error is None or params is None:
            return "-"
        return f"{with_spread(error)} with {shown(params, 'value')}"

    missed = "" if gain["holds"] else f" (bar {100 * gain['bar']:.2f} missed)"
    here = f"{of('synthesized')} parameters, {100 * gain['value']:.2f} points better{missed}"
    hours = rows["synthesized, one training"]["value"]
    found = f"{of('dense')}, dense" if "dense, test error" in rows else "-"
    seeds = f"{gain['n']} of {len(cifar.SEEDS)} pairs, {hours:.2f} h, 1 core of {document['hardware']['cpu']}"
    return [here, found, of("baseline"), seeds]


def zoo() -> str:
    """The networks that come with the program, from the summaries of their runs."""
    lines = ["| network | parameters | MACs | test error | how it was made |", "|---|---|---|---|---|"]
    for name in zoo_names():
        summary = json.loads((ZOO / name / "summary.json").read_text())
        command = json.loads((ZOO / name / "run.json").read_text())["command"].partition(" --out")[0]
        cells = [f"`zoo:{name}`", f"{summary['params']:,}", f"{summary['macs']:,}"]
        cells += [f"{100 * summary['error']['test']:.2f}%", f"`{command}`"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def whole(document: dict[str, Any]) -> str:
    """Networks in floats and in 8-bit integers side by side: errors, flash, RAM, instructions."""
    figures: dict[str, dict[str, float]] = {}
    for row in document["rows"]:
        name, _, what = row["name"].partition(": ")
        figures.setdefault(name, {})[what] = row["value"]
    cores = ("cortex-m4", "cortex-m3", "cortex-m0")
    heads = ["floats → integers", "error", "flash, M4F", "RAM, M4F", "flash, M0"]
    heads += [f"instructions, {core}" for core in ("M4F", "M3", "M0")]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, found in figures.items():
        kind = "error" if "error, int8" in found else "1 - R²"
        pairs = [(f"{100 * found[f'{kind}, float']:.2f}", f"{100 * found[f'{kind}, int8']:.2f}%")]
        plain = ["flash on a cortex-m4", "RAM on a cortex-m4", "flash on a cortex-m0"]
        for what in (*plain, *(f"instructions on a {core}" for core in cores)):
            pairs.append((f"{found[f'{what}, float']:,.0f}", f"{found[f'{what}, int8']:,.0f}"))
        note = "" if kind == "error" else " (1 - R²)"
        cells = [f"{name}, {found['parameters']:,.0f} parameters{note}", *(" → ".join(pair) for pair in pairs)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(document: dict[str, Any]) -> str:
    """Tables by method: test error and bytes, and what all of them together come to."""
    figures: dict[str, dict[str, dict[str, str]]] = {}
    for row in document["rows"]:
        name, _, what = row["name"].partition(": ")
        method, comma, figure = what.partition(", ")
        if comma and figure in ("test error", "bytes"):
            figures.setdefault(name, {}).setdefault(method, {})[figure] = shown(row, "value")
    methods = list(dict.fromkeys(method for found in figures.values() for method in found))
    lines = ["| " + " | ".join(["test error, bytes", *methods]) + " |", "|---" * (len(methods) + 1) + "|"]
    for name, found in figures.items():
        cells = [f"{found[at]['test error']}, {found[at]['bytes']}" if at in found else "-" for at in methods]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def instructions(document: dict[str, Any]) -> str:
    """Errors of estimated instructions by core and type: median and worst."""
    found: dict[str, list[str]] = {}
    for row in document["rows"]:
        place = row["name"].partition(": ")[0]
        found.setdefault(place, [str(row["n"])]).append(f"{100 * row['value']:.1f}%")
    lines = ["| core and numbers | networks | median | worst |", "|---|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join([place, *cells]) + " |" for place, cells in found.items())])


def devices(document: dict[str, Any]) -> str:
    """Networks as C, floats and integers, what other tools make of the same network, and times on this machine."""
    figures: dict[str, dict[str, dict[str, Any]]] = {}
    for row in document["rows"]:
        name, _, what = row["name"].partition(": ")
        figures.setdefault(name, {})[what] = row
    heads = ["network", "parameters", "flash", "RAM", "instructions", "other tool", "share of its flash", "RAM"]
    heads += ["instructions", "µs a row, x86", "ONNX Runtime"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    measured = ("flash", "RAM", "instructions")
    for name, found in figures.items():
        if "float on a cortex-m4: flash" not in found:
            continue
        cells = [name, shown(found["parameters"], "value")]
        for what in measured:
            both = (shown(found[f"{numbers} on a cortex-m4: {what}"], "value") for numbers in ("float", "int8"))
            cells.append(" → ".join(both))
        shares = {what.partition(", share of ")[0]: what for what in found if ", share of " in what}
        cells.append(next((what.partition(", share of ")[2] for what in shares.values()), "-"))
        cells += [f"{found[shares[what]]['value']:.2f}" if what in shares else "-" for what in measured]
        times = {what: row["value"] for what, row in found.items() if row["unit"] == "µs"}
        for word in (": C,", ": onnxruntime,"):
            cells.append(min((f"{time:.2f}" for what, time in times.items() if word in what), key=float, default="-"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def insert(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers of ``name`` on a page."""
    begin, end = f"<!-- {name}: written by benchmarks/page.py -->", f"<!-- {name} ends -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")
    print(page)


def main() -> None:
    parts = ["# Results", "Written by `python benchmarks/page.py` from `benchmarks/results/*.json`."]
    parts += ["## The paper's table", "`python benchmarks/paper.py ROW` runs a row.", paper()]
    parts += ["## The zoo", "`steerage.load(NAME)`, and wherever a command takes a network.", zoo()]
    if (compared := RESULTS / "tabular.json").is_file():
        about = "`python benchmarks/tabular.py`: the same rows for all; of California housing the RMSE in dollars."
        parts += ["## Tables", about, tables(json.loads(compared.read_text()))]
    parts.append("# All figures")
    for path in sorted(RESULTS.glob("*.json")):
        if path.name.endswith(".rows.json"):
            continue
        document = json.loads(path.read_text())
        hardware = document["hardware"]
        about = (
            f"`{document['command']}`, {document['seconds'] / 60:.0f} minutes on {hardware['cores']} cores of "
            f"{hardware['cpu']}, commit {document['commit']}, torch {document['versions']['torch']}."
        )
        parts += [f"## {path.stem}", about, table(document)]
    PAGE.write_text("\n\n".join(parts) + "\n")
    print(PAGE)
    insert(README, "main_job", headlines(json.loads((RESULTS / "main_job.json").read_text())))
    PICTURE.write_text(thinking(json.loads((RESULTS / "search_tables.json").read_text())))
    print(PICTURE)
    local = json.loads((RESULTS / "grow_prune.json").read_text())
    for section in ("compared", "ablation"):
        insert(LOCAL, f"grow_prune_{section}", grown(local, section))
    insert(LOCAL, "grow_prune_absolute", alone(local))
    insert(LOCAL, "grow_prune_overhead", overhead(local))
    insert(DEVICES, "devices", devices(json.loads((RESULTS / "devices.json").read_text())))
    insert(DEVICES, "int8", whole(json.loads((RESULTS / "int8.json").read_text())))
    insert(DEVICES, "instructions", instructions(json.loads((RESULTS / "instructions.json").read_text())))
    insert(SEARCH, "search_ablation", ablation(json.loads((RESULTS / "search_ablation.json").read_text())))


if __name__ == "__main__":
    main()
