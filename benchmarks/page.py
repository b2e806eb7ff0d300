"""Writes docs/results.md and the README's table from the files in results/, so that no figure is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
ROOT = RESULTS.parents[1]
PAGE, README = ROOT / "docs" / "results.md", ROOT / "README.md"
BEGIN, END = "<!-- main_job: written by benchmarks/page.py -->", "<!-- main_job ends -->"
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
    return f"{value:,.0f}" if row["unit"] in ("parameters", "s", "bytes", "cores") else f"{value:.4f}"


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
        spread = "" if final["std"] is None else f" ± {shown(final, 'std').rstrip('%')}"
        cells = [
            data,
            f"{rows[f'{name}: parameters']['bar']:,.0f} parameters",
            str(minutes),
            shown(rows[f"{name}: cores"], "value"),
            str(final["n"]),
            f"test {word} {shown(rows[f'{before} test {metric}'], 'value')} with "
            f"{shown(rows[f'{before} parameters'], 'value')} parameters",
            f"test {word} {shown(final, 'value')}{spread}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parts = ["# Results", "Written by `python benchmarks/page.py` from `benchmarks/results/*.json`."]
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
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    table_of_all = headlines(json.loads((RESULTS / "main_job.json").read_text()))
    README.write_text(f"{before}{BEGIN}\n{table_of_all}\n{END}{after}")
    print(README)


if __name__ == "__main__":
    main()
