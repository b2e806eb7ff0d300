"""Pictures for docs/how-it-works.md, from RUN or a new run of digits: ``python benchmarks/pictures.py [RUN]``.

They are those of the run's report, and two curves of its search; colours follow the reader's scheme.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from steerage import Budget, synthesize
from steerage.report.figures import Point, scatter
from steerage.report.style import CSS

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "img"
FROM_REPORT = {  # by how the figure describes itself
    "how-budget": "validation error over parameters",
    "how-pruning": "active connections over training",
    "how-network": "the network, layer by layer",
}
OWN = ("svg { background: var(--ground); font-family: system-ui, sans-serif; }", "svg text { white-space: pre; }")


def main() -> None:
    if len(sys.argv) > 1:
        draw(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        synthesize("digits", budget=Budget(max_params=1500), trials=30, epochs=20, out=out)
        draw(out)


def draw(run: Path) -> None:
    """Write the pictures of the finished ``run``."""
    page = (run / "report.html").read_text(encoding="utf-8")
    drawn = {name: found(page, label) for name, label in FROM_REPORT.items()}
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    drawn |= {"how-search": history(events), "how-predictor": tau(events)}
    for name, svg in drawn.items():
        (IMAGES / f"{name}.svg").write_text(alone(svg), encoding="utf-8")
        print(IMAGES / f"{name}.svg")


def found(page: str, label: str) -> str:
    """The figure of the report whose description begins with ``label``."""
    match = re.search(rf'<svg[^>]*aria-label="{label}.*?</svg>', page, re.DOTALL)
    if match is None:
        raise SystemExit(f"the report has no figure of {label}")
    return match[0]


def history(events: list[dict[str, object]]) -> str:
    """Validation error of each trial, in the order in which they were trained, and the best so far as a line."""
    best, points, line = float("inf"), [], []
    for event in events:
        if event["event"] == "TrialFinished" and event["repeats"] is None:
            error = float(event["metrics"]["error"])  # type: ignore[index]
            points.append(Point(float(event["number"]), error))  # type: ignore[arg-type]
            if error < best:
                best = error
                line.append(points[-1])
    labels = {"x_label": "trial", "y_label": "validation error"}
    return scatter(points, path=line, log_x=False, show_y=lambda value: f"{100 * value:.3g} %", **labels)


def tau(events: list[dict[str, object]]) -> str:
    """How well the predictor ordered trials that it had not seen, round by round."""
    rounds = [event for event in events if event["event"] == "RoundFinished" and event["tau"] is not None]
    points = [Point(float(one["trials"]), float(one["tau"])) for one in rounds]  # type: ignore[arg-type]
    return scatter(points, x_label="trials", y_label="Kendall's τ", joined=True, log_x=False)


def alone(svg: str) -> str:
    """``svg`` as a file of its own: with its colours, and without what a click would tell."""
    svg = re.sub(r' (?:tabindex|role|data-about)="[^"]*"', "", svg)
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" role="img" ', 1)
    colours, _, rest = CSS.partition("* {")
    rules = [line for line in rest.splitlines() if line.startswith("svg") and not line.startswith("svg {")]
    look = "\n".join([colours, *rules, *OWN])
    return re.sub(r"(<svg[^>]*>)", lambda head: f"{head[1]}<style>{look}</style>", svg, count=1) + "\n"


if __name__ == "__main__":
    main()
