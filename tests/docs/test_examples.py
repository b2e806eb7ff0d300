"""Every example runs, in an empty folder, and is on the list."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_runs(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out, "an example shows something"


def test_the_list_has_every_example_once() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [text.count(f"`{script.name}`") for script in SCRIPTS] == [1] * len(SCRIPTS)
