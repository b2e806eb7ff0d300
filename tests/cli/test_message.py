from __future__ import annotations

import time
from pathlib import Path

import pytest

from steerage.cli.guard import run
from steerage.cli.message import LEAST, MOST, fitted, parts


def test_the_remedy_follows_the_last_semicolon() -> None:
    assert parts("it is so (a; b); do this") == ("it is so (a; b)", "do this")
    assert parts("it is so") == ("it is so", "")


@pytest.mark.parametrize("message", ["in use", "it is so; do this", f"{'a' * 100}; {'b' * 100}"])
def test_what_fits_is_left_as_it_is(message: str) -> None:
    assert fitted(message) == message


def test_a_long_path_is_shortened_in_its_middle_as_far_as_is_needed() -> None:
    path = f"/home/someone/{'deep/' * 30}data.csv"
    cause, remedy = parts(fitted(f"{path} must have rows, but it has only column names; look at {path}"))
    assert (len(cause), len(remedy)) == (MOST, MOST)
    assert cause.startswith("/home/someone/deep/") and " must have rows, but it has only column names" in cause
    assert remedy.startswith("look at /home/someone/") and remedy.endswith("/data.csv")


def test_the_longest_words_give_way_first() -> None:
    cause, _ = parts(fitted(f"{'x' * 90} and {'y' * 60} differ; mend it"))
    shortened = cause.split()
    assert len(cause) == MOST
    assert abs(len(shortened[0]) - len(shortened[2])) <= 60 - LEAST
    assert shortened[3] == "differ"


def test_a_long_message_of_short_words_is_cut_in_its_middle() -> None:
    cause, remedy = parts(fitted(f"{'word ' * 60}end; mend it"))
    assert len(cause) == MOST
    assert cause.startswith("word word") and cause.endswith("word end") and "…" in cause
    assert remedy == "mend it"


def test_debugging_shows_the_whole_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(tmp_path / ("long" * 40))
    assert run(["eval", name, "iris"], started=time.monotonic()) == 2
    assert name not in capsys.readouterr().err
    monkeypatch.setenv("STEERAGE_DEBUG", "1")
    assert run(["eval", name, "iris"], started=time.monotonic()) == 2
    assert f"error: {name} does not exist" in capsys.readouterr().err
