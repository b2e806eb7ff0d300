"""What the tutorials show runs as it stands: Python blocks, and commands, in order, in an empty folder."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from steerage.cli.guard import run
from steerage.export.c.toolchain import TARGETS, compiler

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.stem == "sensor" and compiler(TARGETS["host"]) is None:
        pytest.skip("this machine has no C compiler")
    if page.stem == "cluster" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (pip install 'steerage-nn[ray]')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {"__name__": "__main__"}  # as in a script
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks, "a tutorial shows something"
    for kind, text in blocks:
        if kind == "python":
            exec(compile(text, str(page), "exec"), names)
            continue
        for line in text.splitlines():
            program, *words = shlex.split(line)
            assert program == "steerage"
            assert (
                run(
                    [*words, "--quiet"] if words[0] in ("synth", "refine", "search") else words,
                    started=time.monotonic(),
                )
                == 0
            ), line
    sys.modules.pop("my_model", None)
