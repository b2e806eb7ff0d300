from __future__ import annotations

import gc
import os
import re
import shlex
import sys
import time
from pathlib import Path

import pytest
from bad_inputs import CASES, Case, page
from bad_place import build

from steerage.cli.guard import run
from steerage.cli.message import MOST

pytestmark = pytest.mark.filterwarnings("default")
EACH = [case for cases in CASES.values() for case in cases]
RUNS = (
    "search good.csv --trials 1 --epochs 1 --out own --quiet",
    "refine my_model.py:Net iris --max-params 60 --epochs 1 --out factory --quiet",
)


def typed(command: str) -> int:
    return run(shlex.split(command), started=time.monotonic())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all that can be wrong, with two finished runs."""
    folder, before = tmp_path_factory.mktemp("place"), Path.cwd()
    build(folder)
    os.chdir(folder)
    try:
        assert [typed(command) for command in RUNS] == [0, 0]
    finally:
        os.chdir(before)
    gc.collect()  # what still holds a study open
    return folder


def content(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below ``folder``, byte for byte; but for what Python keeps of modules."""
    paths = [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("case", EACH, ids=[case.command for case in EACH])
def test_bad_input_is_told_in_one_line_and_changes_nothing(
    case: Case, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("ray", "torchvision"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.chdir(place)
    before = content(place)
    code = typed(case.command)
    out, err = capsys.readouterr()
    wanted = re.escape(f"error: {case.cause}; {case.remedy}\n").replace("BYTES", r"\d+")
    assert re.fullmatch(wanted, err), err
    assert (code, out) == (2, "")
    assert content(place) == before


def test_each_message_has_a_short_cause_and_a_short_remedy() -> None:
    assert len(EACH) >= 40
    for case in EACH:
        assert 0 < len(case.cause) <= MOST, case
        assert 0 < len(case.remedy) <= MOST, case
        assert "…" not in case.cause + case.remedy, case


def test_every_command_is_in_the_table() -> None:
    commands = {"synth", "search", "refine", "eval", "export", "verify", "report", "inspect", "doctor"}
    assert commands <= {case.command.split()[0] for case in EACH}


def test_the_documentation_has_the_table() -> None:
    written = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
    assert written.read_text(encoding="utf-8") == page()
