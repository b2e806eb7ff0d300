"""Writes docs/results.md from the files in results/, so that no figure is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


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


if __name__ == "__main__":
    main()
