"""What the page shows of analysis.json: predictions, the network, hyperparameters."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from test_page import ASKED, EVENTS, NASTY, SUMMARY, make_run, read

from steerage.report import write_report

DOT = "iVBORw0KGgo="
ANALYSIS: dict[str, Any] = {
    "version": 1,
    "part": "test",
    "predictions": {
        "rows": 60,
        "classes": ["cat", "dog", "owl"],
        "confusion": [[18, 2, 0], [1, 19, 0], [0, 0, 20]],
        "confidence": [
            {"rows": 10, "confidence": 0.55, "right": 0.5},
            {"rows": 50, "confidence": 0.97, "right": 0.96},
        ],
        "hardest": [{"row": 41, "true": "cat", "predicted": "dog", "confidence": 0.99, "picture": DOT}],
    },
    "structure": {
        "layers": [
            {"name": "a", "kind": "Linear", "shape": [5, 3], "units": 5, "weights": 9, "dense": 15, "macs": 9,
             "reads": [-1], "mask": DOT},
            {"name": "b", "kind": "Linear", "shape": [5, 5], "units": 5, "weights": 25, "dense": 25, "macs": 25,
             "reads": [0], "mask": DOT},
            {"name": "c", "kind": "Linear", "shape": [2, 8], "units": 2, "weights": 3, "dense": 16, "macs": 3,
             "reads": [-1, 1], "mask": DOT},
        ],
        "inputs": {"columns": {"width": 5, "height": 0, "weight": 7}, "wired": 2},
    },
    "genes": [
        {"name": "depth", "share": 0.75, "values": [1, 2, 3], "errors": [0.3, 0.2, 0.1]},
        {"name": "activation", "share": 0.25, "values": ["relu", "silu"], "errors": [0.2, 0.22]},
    ],
}  # fmt: skip


def run_with(tmp_path: Path, analysis: Any) -> Path:
    folder = make_run(tmp_path / "run", asked=ASKED, summary=SUMMARY, events=EVENTS)
    (folder / "analysis.json").write_text(json.dumps(analysis))
    return folder


def test_confusions_and_errors_by_class(tmp_path: Path) -> None:
    text, _ = read(run_with(tmp_path, ANALYSIS))
    assert "On 60 test rows, which it has not learnt from." in text
    assert "cat dog owl cat 18 2 · dog 1 19 · owl · · 20" in text
    assert "cat 20 10.00 % 94.74 % dog (2)" in text


def test_confidence_and_the_hardest_rows(tmp_path: Path) -> None:
    text, checker = read(run_with(tmp_path, ANALYSIS))
    assert "the rows are 1.7 points off it on average" in text
    assert "cat as dog, 99% row 41" in text
    assert (
        checker.tags.count("img") == 1 + 2
    )  # the row; patterns of the layers with fewer connections than there could be


def test_images_that_were_put_upright_are_said_to_be(tmp_path: Path) -> None:
    said = "The hardest rows Put upright, as the network sees them."
    assert said not in read(run_with(tmp_path, ANALYSIS))[0]
    folder = make_run(tmp_path / "slanted", asked={**ASKED, "straighten": True}, summary=SUMMARY, events=EVENTS)
    (folder / "analysis.json").write_text(json.dumps(ANALYSIS))
    assert said in read(folder)[0]


def test_the_network_is_drawn_with_its_skips_and_costs(tmp_path: Path) -> None:
    text, _ = read(run_with(tmp_path, ANALYSIS))
    html = (tmp_path / "run" / "report.html").read_text()
    assert html.count('class="skip"') == 1
    assert "c: Linear 2 × 8, 3 of 16 connections" in text
    assert "a Linear 5 × 3 9 15 24.3% 9 24.3%" in text
    assert "weight 7 width 5" in text and "Nothing reads: height." in text


@pytest.mark.parametrize(("columns", "folded"), [(10, None), (11, "1 more"), (44, "34 more")])
def test_many_columns_are_folded_behind_the_first_ten(tmp_path: Path, columns: int, folded: str | None) -> None:
    analysis = copy.deepcopy(ANALYSIS)
    analysis["structure"]["inputs"]["columns"] = {f"c{place}": 100 - place for place in range(columns)}
    text, _ = read(run_with(tmp_path, analysis))
    html = (tmp_path / "run" / "report.html").read_text()
    assert "c0 100 c1 99" in text and f"c{min(columns, 30) - 1} " in text
    assert ("and 14 more" in text) == (columns == 44)
    shown, _, hidden = html.partition("What it looks at")[2].partition("<details>")
    assert "c9<" in shown and "c10<" not in shown
    assert ("c10<" in hidden) == (folded is not None)
    assert folded is None or f"<summary>{folded}</summary>" in html


def test_hyperparameters_that_mattered(tmp_path: Path) -> None:
    text, _ = read(run_with(tmp_path, ANALYSIS))
    assert "depth 75% activation 25%" in text
    assert "activation = silu: 22.00 %" in text


@pytest.mark.parametrize(("rows", "said"), [(3, ""), (900, "3 of the 900 rows, the hardest among them.")])
def test_a_regression_has_its_values(rows: int, said: str, tmp_path: Path) -> None:
    predictions = {
        "rows": rows,
        "pairs": [[1.0, 1.5], [2.0, 2.5], [9.0, 8.0]],
        "hardest": [{"row": 2, "true": 9.0, "predicted": 8.0}],
    }
    text, _ = read(run_with(tmp_path, {"part": "validation", "predictions": predictions}))
    assert f"On {rows} validation rows" in text
    assert said in text and ("3 of the" in text) is bool(said)
    assert "true 9, predicted 8" in text
    assert "validation row true predicted 2 9 8" in text


@pytest.mark.parametrize(
    "analysis",
    [
        {},
        [],
        {"predictions": 5, "structure": {"layers": {}}, "genes": "many"},
        {"predictions": {"confusion": [[1]], "classes": [], "confidence": [3], "hardest": [None], "pairs": [[1]]}},
        {"structure": {"layers": [{}, {"name": "x", "mask": "no picture!", "reads": ["a"]}], "inputs": []}},
        {"genes": [{"name": "x", "share": 1.0, "values": [1], "errors": ["a"]}]},
    ],
)
def test_odd_parts_are_left_out(tmp_path: Path, analysis: Any) -> None:
    text, _ = read(run_with(tmp_path, analysis))
    assert "Delivered" in text


def test_names_of_classes_layers_and_columns_are_escaped(tmp_path: Path) -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return NASTY if isinstance(value, str) and value != DOT else value

    analysis = poison(ANALYSIS)
    analysis["structure"]["inputs"]["columns"] = {NASTY: 3}
    text, _ = read(run_with(tmp_path, analysis))
    assert text.count(NASTY) > 10


def test_names_of_modules_break_behind_dots_below_their_patterns(tmp_path: Path) -> None:
    analysis = copy.deepcopy(ANALYSIS)
    analysis["structure"]["layers"][0]["name"] = "net.0.<b>"
    read(folder := run_with(tmp_path, analysis))
    html = write_report(folder).read_text(encoding="utf-8")
    assert "<figcaption>net.<wbr>0.<wbr>&lt;b&gt;<br>60% of 15" in html
