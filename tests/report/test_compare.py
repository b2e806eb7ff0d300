"""Several runs on one page."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_page import ASKED, SUMMARY, Checker, make_run

from steerage.errors import BadBundle
from steerage.report.compare import write_comparison


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    other = {**SUMMARY, "budget": {"max_params": 700}, "params": 700, "error": {"test": 0.04, "validation": 0.05}}
    folders = [
        make_run(tmp_path / "large", asked=ASKED, summary=SUMMARY),
        make_run(tmp_path / "small", asked={**ASKED, "budget": {"max_params": 700}, "seed": 5}, summary=other),
        make_run(tmp_path / "open", asked=ASKED),
    ]
    page = write_comparison(folders, tmp_path / "all.html")
    checker = Checker()
    checker.feed(page.read_text())
    text = " ".join(" ".join(checker.text).split())
    assert "A: large; B: small; C: open" in text
    assert "test error 2.13 % 4.00 % –" in text
    assert "parameters (non-zero) 1,432 700 –" in text
    assert "most parameters 1,500 700 1,500" in text and "seed 0 5 0" in text
    assert "The same in all: " in text and "minutes" in text.partition("The same in all: ")[2]
    assert checker.tags.count("path") == 2  # what was delivered
    assert "test error over parameters" in page.read_text()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="is not a run"):
        write_comparison([tmp_path, tmp_path], tmp_path / "all.html")
