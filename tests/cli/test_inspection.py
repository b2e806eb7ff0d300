"""``steerage inspect``: one screen, or all of it as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from steerage.cli.guard import run


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words], started=time.monotonic())
    return (code, *capsys.readouterr())


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Forty columns with long names, and a fault in the last."""
    file = tmp_path / "wide.csv"
    names = [f"a column with a rather long name, number {at}".replace(",", "") for at in range(40)]
    values = np.random.default_rng(0).integers(0, 9, (60, 40))
    rows = [[*map(str, values[row]), "AB"[row % 3 % 2]] for row in range(60)]
    rows[5][39] = "oops"
    file.write_text("\n".join([",".join([*names, "fault"]), *(",".join(row) for row in rows)]) + "\n")
    return file


def test_one_screen_says_what_is_there_and_what_is_wrong(capsys: pytest.CaptureFixture[str], wide: Path) -> None:
    code, out, err = typed(capsys, "inspect", wide)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "wide: 60 rows; 48 to train, 12 to test (set aside)"
    assert lines[1] == "target 'fault': classification (text), 2 classes"
    assert any(line.startswith("error: column") for line in lines) and "'oops'" in out
    assert max(map(len, lines)) <= 80 and len(lines) <= 24


def test_json_has_every_column(capsys: pytest.CaptureFixture[str], wide: Path) -> None:
    code, out, _ = typed(capsys, "inspect", wide, "--json")
    document = json.loads(out)
    assert code == 0
    assert len(document["columns"]) == 40
    assert document["classes"] == {"A": 40, "B": 20}
    assert [finding["what"] for finding in document["findings"]] == ["fault"]


def test_a_target_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str], wide: Path) -> None:
    code, out, err = typed(capsys, "inspect", wide, "--target", "nothing")
    assert (code, out) == (2, "")
    assert "has no column 'nothing'" in err
