from __future__ import annotations

import errno
import signal
import sqlite3
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steerage.cli import app, guard, signals
from steerage.cli.session import Job, Session, Stopped
from steerage.errors import BadData, RunConflict

Ask = Callable[[Job], tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a job as a command would; (exit code, stdout, stderr)."""

    def asked(job: Job) -> tuple[int, str, str]:
        monkeypatch.setattr(app, "parse", lambda argv: job)
        code = guard.run(["synth", "my data.csv"], started=time.monotonic())
        return (code, *capsys.readouterr())

    return asked


def raising(error: BaseException) -> Job:
    def job(session: Session) -> str:
        raise error

    return job


def test_what_a_job_returns_goes_to_stdout(ask: Ask) -> None:
    assert ask(lambda session: "result\n") == (0, "result\n", "")


def test_what_is_printed_during_a_job_stays_away_from_stdout(ask: Ask) -> None:
    def job(session: Session) -> str:
        print("chatter of a user's file")
        return "{}\n"

    assert ask(job) == (0, "{}\n", "chatter of a user's file\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BadData("no such\n  column; look again"), "error: no such column; look again\n"),
        (RunConflict("in use"), "error: in use\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.db"), "error: a.db: No space left on device; free some"),
        (PermissionError(errno.EACCES, "Permission denied", "a.db"), "error: a.db: Permission denied; choose a place"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.db"), "error: a.db: No such file; check the path"),
        (MemoryError(), "error: there is not enough memory"),
        (SystemExit(3), "error: code that was loaded ended the program with sys.exit(3)"),
        (sqlite3.OperationalError("disk is full"), "error: the list of trials (study.db) cannot be used: disk is full"),
    ],
)
def test_faults_that_a_user_can_mend_are_one_line_and_exit_code_2(ask: Ask, error: BaseException, line: str) -> None:
    code, out, err = ask(raising(error))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(line)


def test_passwords_are_neither_shown_nor_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, commands = "postgresql://ann:xyz@host/db", list[str]()

    def job(session: Session) -> str:
        commands.append(session.command)
        raise RunConflict(f"{url} is in use")

    monkeypatch.setattr(app, "parse", lambda argv: job)
    assert guard.run(["synth", "a.csv", "--storage", url], started=time.monotonic()) == 2
    assert commands == ["steerage synth a.csv --storage postgresql://ann@host/db"]
    assert "xyz" not in capsys.readouterr().err


def test_a_full_disk_is_found_under_another_librarys_exception(ask: Ask) -> None:
    def job(session: Session) -> str:
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.Error as cause:
            raise RuntimeError("storage failed") from cause

    code, _, err = ask(job)
    assert code == 2
    assert "disk is full" in err


def test_an_unexpected_error_leaves_its_traceback_in_the_run_folder(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")

    def job(session: Session) -> str:
        session.folder = tmp_path
        raise ZeroDivisionError("oops")

    code, out, err = ask(job)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "ZeroDivisionError: oops" in err
    assert str(tmp_path / "traceback.txt") in err
    text = (tmp_path / "traceback.txt").read_text()
    assert text.startswith("steerage synth 'my data.csv'\n")
    assert "raise ZeroDivisionError" in text


def test_nothing_is_written_into_a_folder_that_is_no_run(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "foreign").mkdir()

    def job(session: Session) -> str:
        session.folder = tmp_path / "foreign"
        raise ZeroDivisionError

    assert ask(job)[0] == 1
    assert list((tmp_path / "foreign").iterdir()) == []
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_debugging_shows_the_traceback(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEERAGE_DEBUG", "1")
    code, _, err = ask(raising(ZeroDivisionError("oops")))
    assert code == 1
    assert "Traceback (most recent call last)" in err


def test_a_reader_that_goes_away_is_no_news(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_forget_stdout", lambda: None)
    assert ask(raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == (141, "", "")


def test_an_interrupted_run_says_how_it_goes_on(ask: Ask) -> None:
    assert ask(raising(Stopped("stopped; go on like this"))) == (130, "", "stopped; go on like this\n")
    assert ask(raising(KeyboardInterrupt())) == (130, "", "stopped; give the same command again to go on\n")


def test_sigterm_has_its_own_exit_code(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_received", [])

    def job(session: Session) -> str:
        with pytest.raises(KeyboardInterrupt):
            signals._on_signal(signal.SIGTERM, None)
        raise RuntimeError("a library gave the interruption another name")

    assert ask(job)[0] == 143


def test_an_interruption_that_a_library_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_received", [])
    signals.check()
    monkeypatch.setattr(signals, "_received", [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        signals.check()


def test_a_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(signals, "_received", [signal.SIGINT])
    monkeypatch.setattr("os._exit", codes.append)
    with pytest.raises(KeyboardInterrupt):  # only because os._exit came back
        signals._on_signal(signal.SIGINT, None)
    assert codes == [130]


@pytest.mark.filterwarnings("default")
def test_warnings_of_ours_are_one_line_and_those_of_libraries_are_not_shown(ask: Ask) -> None:
    def job(session: Session) -> str:
        warnings.warn("3 rows have\nno label", UserWarning, stacklevel=1)
        warnings.warn("ours to mend", FutureWarning, stacklevel=1)
        warnings.warn_explicit("noise", UserWarning, str(Path(pytest.__file__)), 1)
        return ""

    assert ask(job) == (0, "", "warning: 3 rows have no label\n")


def arguments(*argv: str) -> Any:
    return guard.run(list(argv), started=time.monotonic())


@pytest.mark.parametrize(
    "argv",
    [
        ["synth"],
        ["nonsense"],
        ["synth", "iris", "--nonsense"],
        ["synth", "iris", "--trials", "many"],
        ["synth", "iris", "--task", "guessing"],
        ["export", "somewhere"],
        ["export", "somewhere", "--to", "pickle"],
    ],
)
def test_usage_errors_are_one_line_and_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(*argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["synth", "search", "refine", "eval", "export", "report"])
def test_every_command_explains_itself_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(command, "--help") == 0
    assert f"Examples:\n    steerage {command} " in capsys.readouterr().out


def test_help_is_shown_where_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments() == 0
    assert "Usage: steerage" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    from steerage import __version__

    assert arguments("--version") == 0
    assert capsys.readouterr().out == f"steerage {__version__}\n"
