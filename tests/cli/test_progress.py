"""What is drawn on a terminal, and what is not drawn anywhere else."""

from __future__ import annotations

import io

import pytest

from steerage.cli.progress import shown
from steerage.listeners.story import Story


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as stderr, outside of CI."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("CI", raising=False)
    return terminal


def story() -> Story:
    return Story("synth", "digits: 1,437 training rows", clock=lambda: 48.0, seconds=120.0)


def test_plain_lines_go_to_stderr_with_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(story(), quiet=False) as say:
        say("plain baseline: done")
    assert capsys.readouterr() == ("", "[0:48] plain baseline: done\n")


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(story(), quiet=True) as say:
        say("plain baseline: done")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_the_live_view_and_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with shown(story(), quiet=False) as say:
        say("plain baseline: done")
    assert "1:12 left of 2:00" in terminal.getvalue() and "\x1b[" in terminal.getvalue()
    assert "plain baseline: done" not in terminal.getvalue()


@pytest.mark.parametrize("value", ["true", "1"])
def test_nothing_is_drawn_in_ci_even_on_a_terminal(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("CI", value)
    with shown(story(), quiet=False) as say:
        say("plain baseline: done")
    assert terminal.getvalue() == "[0:48] plain baseline: done\n"
