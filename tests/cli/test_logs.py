"""``--log``: who else is told."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from steerage import events
from steerage.cli import logs
from steerage.cli.guard import run


@pytest.mark.filterwarnings("default")
def test_each_log_that_is_named_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, object]] = []
    kinds = {name: lambda where, name=name: lambda event: told.append((f"{name} {where}", event)) for name in "ab"}
    monkeypatch.setattr(logs, "KINDS", kinds)
    words = ["synth", "iris", "--trials", "1", "--epochs", "1", "--out", str(tmp_path / "run"), "--quiet"]
    assert run([*words, "--log", "a:http://there:5000", "--log", "b:logs"], started=time.monotonic()) == 0
    first, second = (
        [event for name, event in told if name == expected] for expected in ("a http://there:5000", "b logs")
    )
    assert first == second and isinstance(first[-1], events.RunFinished)


@pytest.mark.parametrize("text", ["wandb:x", "tensorboard", "tensorboard:"])
def test_another_kind_or_place_is_refused_before_anything_is_read(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["synth", "no-such-file.csv", "--log", text], started=time.monotonic()) == 2
    assert capsys.readouterr().err == f"error: --log must be tensorboard:FOLDER or mlflow:URI, got {text!r}\n"


def test_a_package_that_is_missing_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert run(["synth", "iris", "--log", "tensorboard:logs"], started=time.monotonic()) == 2
    err = capsys.readouterr().err
    assert "pip install 'steerage-nn[tensorboard]'" in err and err.count("\n") == 1
