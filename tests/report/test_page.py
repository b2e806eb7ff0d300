from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from steerage.errors import BadBundle
from steerage.metrics import METRICS
from steerage.report import write_report
from steerage.report.figures import Axis, Point, scatter
from steerage.report.script import SCRIPT, SCRIPT_HASH
from steerage.report.text import amount

NASTY = "<script>alert('\"&')</script>"
VOID = {"meta", "img", "br", "wbr"}


def stage(error: float, params: int) -> dict[str, Any]:
    return {
        "error": {"validation": error + 0.005, "test": error},
        "params": params,
        "dense_params": params * 2,
        "macs": params * 10,
    }


ASKED = {
    "data": "digits",
    "task": "classification",
    "budget": {"max_params": 1500, "max_macs": None},
    "minutes": 2,
    "seed": 0,
    "command": ["steerage", "synth", "my digits.csv", "--max-params", "1500"],
    "hardware": {"cpu": "some", "cores": 2},
}
SUMMARY = {
    **stage(0.0213, 1432),
    "task": "classification",
    "baseline": stage(0.031, 24_000),
    "after_search": stage(0.025, 1490),
    "budget": {"max_params": 1500},
    "seconds": {"search": 61.23456, "own": 2.0},
    "versions": {"torch": "2.13.0"},
}
EVENTS: list[dict[str, Any]] = [
    {
        "event": "TrialFinished",
        "number": n,
        "values": {"depth": 2, "lr": 0.001 * (n + 1), "activation": "relu"},
        "error": 0.2 / (n + 1) + 0.02,
        "best_error": 0.2 / (n + 1) + 0.02,
        "params": 300 * (n + 1),
        "seconds": 1.5,
    }
    for n in range(14)
] + [
    {"event": "TrialFailed", "number": 14, "reason": "loss became NaN"},
    {
        "event": "RoundFinished",
        "round": 1,
        "trials": 10,
        "tau": 0.51,
        "spearman": None,
        "rmse": 0.8,
        "best_error": 0.042,
        "best_number": 9,
        "coverage": 0.75,
        "gain": 0.0012,
    },
    {
        "event": "NetworkTrained",
        "name": "promoted 0",
        "error": 0.03,
        "params": 1490,
        "dense_params": 2980,
        "macs": 14_900,
    },
    *(
        {
            "event": "NetworkEdited",
            "name": "local",
            "progress": n / 30,
            "before": 3000 - 50 * n,
            "after": 2950 - 50 * n,
            "grown": 5,
            "units_before": 90,
            "units_after": 90,
            "error": 0.125,
        }
        for n in range(30)
    ),
]


def make_run(folder: Path, *, asked: Any = None, summary: Any = None, events: list[Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for name, document in (("run.json", asked), ("summary.json", summary)):
        if document is not None:
            (folder / name).write_text(json.dumps(document))
    if events is not None:
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


class Checker(HTMLParser):
    """Every tag is closed in order, and nothing is loaded from anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"href", "onload", "onclick", "action", "data"}
        assert all(str(value).startswith("data:image/png;base64,") for name, value in attrs if name == "src")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def read(folder: Path) -> tuple[str, Checker]:
    """Visible text and tags of the report of ``folder``, checked."""
    html = write_report(folder).read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert not re.search(r"https?:|@import|url\(", html)
    assert not {"link", "iframe"} & set(checker.tags)
    assert re.findall(r"<script.*?</script>", html, re.S) == [f"<script>{SCRIPT}</script>"]  # ours, and no other
    assert SCRIPT_HASH in html
    for figure in re.findall(r"<svg.*?</svg>", html, re.S):
        ElementTree.fromstring(figure)
    return " ".join(" ".join(checker.text).split()), checker


def test_a_finished_run_tells_what_was_asked_and_delivered(tmp_path: Path) -> None:
    text, checker = read(make_run(tmp_path / "run", asked=ASKED, summary=SUMMARY, events=EVENTS))
    assert "Asked for: a network with at most 1,500 parameters, in 2 minutes." in text
    assert "Delivered: 1,432 parameters and 14,320 MACs, test error 2.13 % (plain baseline 3.10 %)." in text
    assert "Over the budget" not in text
    assert "plain baseline after search delivered test error 3.10 % 2.50 % 2.13 %" in text
    assert "14 candidates were trained, 1 failed." in text
    assert "trial 14: loss became NaN" in text
    assert "14 candidates" in text and "13 3.43 % 4,200 lr = 0.014" in text
    assert "All of these have depth = 2, activation = relu." in text
    assert "1 10 9 4.00 % 0.510 – 0.800 0.750 0.12 %" in text
    assert "promoted 0 3.00 % 1,490 2,980 14,900" in text
    assert "30 steps changed the network." in text
    assert "0.0% 12.50 % 3,000 2,950 5 90 90 10.0% 12.50 % 2,850 2,800 5 90 90" in text
    assert "96.7% 12.50 % 1,550 1,500 5" in text
    assert "steerage synth 'my digits.csv' --max-params 1500" in text
    assert "search = 61.2" in text
    assert checker.tags.count("svg") == 2
    assert checker.tags.count("circle") == 14 + 30
    assert (checker.tags.count("rect"), checker.tags.count("path")) == (1, 2)  # the baseline; after search, delivered


def test_a_network_over_the_budget_is_called_so(tmp_path: Path) -> None:
    text, _ = read(make_run(tmp_path / "run", asked=ASKED, summary={**SUMMARY, "params": 1501}))
    assert "Over the budget: 1,501 parameters where 1,500 were allowed." in text


def test_an_unfinished_run_has_a_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", asked=ASKED, events=EVENTS[:3])
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"event": "TrialFin')  # killed while writing
    text, _ = read(folder)
    assert "The run is not finished." in text
    assert "3 candidates were trained" in text
    assert "Result" not in text


@pytest.mark.parametrize("asked", [{"data": "digits"}, {}])
@pytest.mark.parametrize("summary", [{"params": 3}, {"error": None, "baseline": 5, "budget": [], "seconds": "long"}])
def test_missing_and_odd_parts_are_left_out(tmp_path: Path, asked: Any, summary: Any) -> None:
    odd: list[Any] = [
        3,
        {},
        {"event": "TrialFinished"},
        {"event": "RoundFinished", "tau": "high"},
        {"params": 0, "error": 1},
    ]
    text, _ = read(make_run(tmp_path / "run", asked=asked, summary=summary, events=odd))
    assert "Delivered" in text


def test_a_regression_shows_its_own_metrics(tmp_path: Path) -> None:
    stage = {"r2": {"test": 0.81234567, "validation": 0.8}, "rmse": {"test": 52345.6}, "params": 10}
    summary = {**stage, "task": "regression", "baseline": stage}
    text, _ = read(make_run(tmp_path / "run", asked=ASKED, summary=summary, events=EVENTS[:16]))
    assert "test R² 0.8123 (plain baseline 0.8123)" in text
    assert "test RMSE 52,346 52,346" in text
    assert "%" not in text.replace("80 % intervals", "")
    assert "after search" not in text


def test_everything_from_the_run_is_escaped(tmp_path: Path) -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key if key in known else NASTY: poison(item) for key, item in value.items()} | {NASTY: NASTY}
        return [NASTY] if isinstance(value, list) else NASTY if isinstance(value, str) else value

    known = {*ASKED, *SUMMARY, "max_params", "test", "validation", *(key for event in EVENTS for key in event)}
    events = [{**poison(event), "event": event["event"]} for event in EVENTS]
    folder = make_run(tmp_path / NASTY.replace("/", ""), asked=poison(ASKED), summary=poison(SUMMARY), events=events)
    text, _ = read(folder)
    assert NASTY in text
    assert (folder / "report.html").read_text().count("<script") == 1


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="is not a run"):
        write_report(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BadBundle, match=r"run\.json is damaged"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    "points",
    [
        [Point(1000, 0.1)],
        [Point(1000, 0.1), Point(1000, 0.1)],
        [Point(1, 0.0), Point(1e9, 1.0)],
        [Point(990, 0.5), Point(1010, 0.500001)],
        [Point(5, -0.2), Point(0, 0.5)],
    ],
)
def test_figures_stay_inside_their_frame(points: list[Point]) -> None:
    figure = scatter(points, Axis("parameters", log=True, line=700), Axis("error"))
    root = ElementTree.fromstring(figure)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    circles = root.findall("circle")
    assert len(circles) == sum(point.x > 0 for point in points)
    for item in circles:
        assert 0 < float(item.attrib["cx"]) < width
        assert 0 < float(item.attrib["cy"]) < height
    assert len([text for text in root.findall("text") if text.get("class") == "tick"]) >= 4


@pytest.mark.parametrize("right", [[100.0, 100.0], [93.0, 100.0], [0.0, 3.0]])
def test_a_diagonal_is_inside_its_frame_and_no_axis_is_beyond_what_can_be(right: list[float]) -> None:
    points = [Point(97.0, right[0]), Point(99.8, right[1])]
    figure = scatter(points, Axis("sure", within=(0.0, 100.0)), Axis("right", within=(0.0, 100.0)), diagonal=True)
    root = ElementTree.fromstring(figure)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    lines = [line for line in root.iter("line") if line.get("class") == "diagonal"]
    assert len(lines) == 1
    for line in lines:
        assert all(0 < float(line.attrib[end]) < width for end in ("x1", "x2"))
        assert all(0 < float(line.attrib[end]) < height for end in ("y1", "y2"))
        assert float(line.attrib["x1"]) < float(line.attrib["x2"])
    ticks = [float(text.text or "") for text in root.iter("text") if text.get("class") == "tick"]
    assert len(ticks) >= 4 and min(ticks) >= 0.0 and max(ticks) <= 100.0


def test_trials_without_parameters_are_shown_in_their_order(tmp_path: Path) -> None:
    events = [{name: value for name, value in event.items() if name != "params"} for event in EVENTS[:14]]
    folder = make_run(tmp_path / "run", asked=ASKED, summary=SUMMARY, events=events)
    text, checker = read(folder)
    assert checker.tags.count("circle") == 14
    assert "trial 0: error 22.00 %" in text


def test_a_figure_without_points_is_empty() -> None:
    assert scatter([], Axis("x", log=True), Axis("y")) == ""
    assert scatter([Point(0, 1)], Axis("x", log=True, line=3), Axis("y")) == ""


def test_a_front_is_a_line_through_its_networks_over_its_cost(tmp_path: Path) -> None:
    members = [{**stage(error, params), "path": f"front/{at:02}", "values": {"depth": at}} for at, error, params in (
        (1, 0.3, 200), (2, 0.1, 700), (3, 0.02, 2000)
    )]  # fmt: skip
    events = [{**event, "metrics": {"macs": 50 * (event["number"] + 1)}} for event in EVENTS[:14]]
    summary = {**SUMMARY, "front": members}
    folder = make_run(tmp_path / "run", asked={**ASKED, "pareto": "macs"}, summary=summary, events=events)
    text, _ = read(folder)
    assert "Asked for: networks for the front of error and MACs with at most 1,500 parameters" in text
    assert "front/02" in text and "trial 0: error 22.00 %, 50 MACs" in text
    assert "front/01: error 30.50 %, 2,000 MACs" in text
    figure = next(part for part in (folder / "report.html").read_text().split("<svg") if "over MACs" in part)
    line = re.search(r'polyline class="path" points="([^"]*)"', figure)
    assert line is not None
    marks = re.findall(r'class="front" d="M([0-9.]*) ([0-9.]*)l', figure)  # from the top of a diamond
    assert line[1].split() == [f"{x},{float(y) + 7:.1f}" for x, y in marks]
    assert len(line[1].split()) == 3 and 'class="delivered"' not in figure


def test_a_line_goes_through_points_of_the_figure_alone() -> None:
    points = [Point(10, 0.1), Point(20, 0.2), Point(30, 0.3)]
    assert "polyline" not in scatter(points, Axis("x", log=True), Axis("y"), path=points[:1])
    figure = scatter([*points, Point(0, 0.1)], Axis("x", log=True), Axis("y"), path=[Point(0, 0.1), *points[1:]])
    assert figure.count("polyline") == 1 and len(figure.split('points="')[1].split('"')[0].split()) == 2


def test_a_run_stopped_after_one_trial_says_what_there_is(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", asked={**ASKED, "fingerprint": "0123456789abcdef" * 4}, events=EVENTS[:1])
    text, _ = read(folder)
    assert "1 candidate was trained, 0 failed." in text
    assert "0 22.00 % 300 depth = 2, lr = 0.001, activation = relu" in text
    assert "The best network so far" not in text and "0123456789ab… " in text
    ticks = re.findall(r'text-anchor="end">([^<]*)<', (folder / "report.html").read_text())
    assert len(ticks) == len(set(ticks)) > 2
    (folder / "network").mkdir()
    (folder / "network" / "network.json").write_text("{}")
    assert "The best network so far: import steerage steerage.load(" in read(folder)[0]


def test_large_figures_have_no_exponent() -> None:
    metric = METRICS["rmse"]
    assert [metric.written(one) for one in (0.01234567, 9999.4, 52345.6, 1e13)] == [
        "0.01235",
        "9999",
        "52,346",
        "1e+13",
    ]


@pytest.mark.parametrize(
    ("epochs", "told"), [(0.26, "0.3"), (1.11, "1.1"), (4.0, "4"), (9.96, "10"), (1234.4, "1,234")]
)
def test_a_few_epochs_are_told_with_a_decimal(epochs: float, told: str) -> None:
    assert amount("epochs", epochs) == told
