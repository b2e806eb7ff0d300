"""Around every command: exit codes, errors in one line, warnings in one line, and nothing but results on stdout."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from steerage.cli import signals
from steerage.cli.message import fitted
from steerage.cli.session import Session, Stopped
from steerage.errors import SteerageError
from steerage.shellwords import joined
from steerage.urls import without_password

PACKAGE = Path(__file__).resolve().parents[1]
DONE, UNEXPECTED, WRONG, RESTS, PIPE = 0, 1, 2, 3, 141
TRACEBACK = "traceback.txt"


def run(argv: Sequence[str], *, started: float) -> int:
    """Do what the command line ``argv`` asks for, and return the exit code of the process.

    0: done. 1: a fault of the program. 2: something that the user can mend. 3: the minutes of this call are over, and
    the same command goes on. 130 and 143: stopped by Ctrl-C and SIGTERM.
    """
    session = Session(started, joined(["steerage", *map(without_password, argv)]))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without "²" is no reason to fail
    try:
        return _work(argv, session)
    except BrokenPipeError:
        _forget_stdout()
        return PIPE
    except KeyboardInterrupt as stop:
        return _stopped(stop)
    except (Exception, SystemExit) as error:
        # The exception that the signal raised may come back in another's clothes.
        return _stopped(error) if signals.received() else _failed(error, session)


def _work(argv: Sequence[str], session: Session) -> int:
    from steerage.cli.app import parse

    job = parse(argv or ["--help"])
    signals.check()
    if job is not None:
        with _short_warnings(), contextlib.redirect_stdout(sys.stderr):
            text = job(session)
        signals.check()
        sys.stdout.write(text)
    sys.stdout.flush()  # a reader that has gone away is noticed here, and not when Python ends
    return DONE


def _stopped(stop: BaseException) -> int:
    _say("", str(stop) if isinstance(stop, Stopped) else signals.STOPPED)
    return RESTS if isinstance(stop, Stopped) and stop.rests else signals.exit_code()


def _failed(error: BaseException, session: Session) -> int:
    if _debugging():
        traceback.print_exception(error)
    mendable = _mendable(error)
    if mendable is not None:
        _say("error: ", mendable if _debugging() else fitted(" ".join(mendable.split())))
        return WRONG
    where = "" if _debugging() else f"; the traceback is in {_kept_traceback(error, session)}"
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    _say("error: ", f"steerage failed in a way that it should not: {what}{where}; please report it")
    return UNEXPECTED


def _mendable(error: BaseException) -> str | None:
    """What to tell the user about a fault that is not the program's own; None for one that is."""
    if isinstance(error, SteerageError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"code that was loaded ended the program with sys.exit({error.code!r}); leave that out of the file"
    if isinstance(error, MemoryError):
        return "there is not enough memory; use fewer rows, smaller images, or a machine with more"
    for cause in _causes(error):
        if isinstance(cause, sqlite3.DatabaseError):
            return f"the list of trials (study.db) cannot be used: {cause}; free some space, or use another --out"
        if isinstance(cause, OSError) and cause.strerror:
            return _about_file(cause)
    return None


def _about_file(error: OSError) -> str:
    what = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}; free some space and give the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{what}; choose a place that you may read and write"
    return f"{what}; check the path"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it was raised from, down to the first cause."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _kept_traceback(error: BaseException, session: Session) -> Path:
    """Write the traceback into the run's folder, or a temporary file where there is none; return its path."""
    text = without_password(f"{session.command}\n\n{''.join(traceback.format_exception(error))}")
    if session.folder is not None and (session.folder / "run.json").is_file():
        with contextlib.suppress(OSError):
            path = session.folder / TRACEBACK
            path.write_text(text, encoding="utf-8")
            return path
    path = Path(tempfile.gettempdir()) / f"steerage-{os.getpid()}-{TRACEBACK}"
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Show what steerage and the user's files warn about in one line each; what libraries warn about is for us."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if _debugging() or (category is UserWarning and not _of_library(Path(filename))):
            _say("warning: ", str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _of_library(path: Path) -> bool:
    import sysconfig

    places = {sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")}
    return not path.is_relative_to(PACKAGE) and (
        not path.is_file() or any(path.is_relative_to(place) for place in places)
    )


def _say(kind: str, message: str) -> None:
    """One line on stderr; nothing where that is closed."""
    with contextlib.suppress(OSError, ValueError):
        print(f"{kind}{without_password(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _forget_stdout() -> None:
    """Let nothing be written to a closed pipe when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _debugging() -> bool:
    return os.environ.get("STEERAGE_DEBUG", "") not in ("", "0")
