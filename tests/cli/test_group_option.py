"""Groups go the whole way: looked at, synthesized, remembered by the network, judged on the same test rows."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import steerage
from steerage.cli.guard import run


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words], started=time.monotonic())
    return (code, *capsys.readouterr())


def steps(path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"person": np.repeat(np.arange(12), 12), "up": rng.normal(size=144)})
    frame.assign(kind=np.where(frame["up"] > 0, "run", "walk")).to_csv(path, index=False)
    return path


def test_a_run_with_groups_is_judged_on_the_rows_that_it_was_tested_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = steps(tmp_path / "steps.csv")
    words = ["--group", "person", "--max-params", 60, "--trials", 1, "--epochs", 2, "--out", tmp_path / "run", "--json"]
    code, out, _ = typed(capsys, "synth", data, *words)
    assert code == 0
    assert steerage.load(tmp_path / "run").group_name == "person"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["group"] == "person"
    code, told, _ = typed(capsys, "eval", tmp_path / "run", data, "--json")
    assert code == 0
    assert json.loads(told)["error"] == json.loads(out)["error"]["test"]


def test_inspect_counts_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = typed(capsys, "inspect", steps(tmp_path / "steps.csv"), "--group", "person")
    assert code == 0
    assert out.splitlines()[1] == "groups by 'person': 10 to train, 2 to test"


def test_a_group_that_is_no_column_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = typed(capsys, "synth", steps(tmp_path / "steps.csv"), "--group", "nobody")
    assert (code, out) == (2, "")
    assert err.strip() == "error: steps has no column 'nobody' for groups; it has person, up"
