"""The command that serves a run's trials to a browser: dashboard."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import webbrowser
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Timer
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from steerage.cli.session import Job, Session
from steerage.errors import BadArgument, MissingDependency

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

HOST = "127.0.0.1"  # whoever asks for more has a server of their own for it
OPEN_SECONDS = 0.5  # after which a server that did not fail to start answers


def serving(run: Path, *, port: int, browser: bool) -> Job:
    """optuna-dashboard on the study of ``run``, until Ctrl-C."""

    def job(session: Session) -> str:
        try:
            from optuna_dashboard import wsgi
        except ImportError as error:
            raise MissingDependency("the dashboard needs its package: pip install 'steerage-nn[dashboard]'") from error
        try:
            server = make_server(HOST, port, wsgi(_read_only(_study_of(run))), _Server, _Handler)
        except OSError as error:
            raise BadArgument(f"--port {port} cannot be had ({error.strerror}); 0 takes one that is free") from error
        address = f"http://{HOST}:{server.server_port}/dashboard/studies/1"
        with server:
            print(f"{address} shows the trials of {run}; Ctrl-C ends it", file=sys.stderr, flush=True)
            if browser:
                opening = Timer(OPEN_SECONDS, webbrowser.open, (address,))
                opening.daemon = True
                opening.start()
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
        return ""

    return job


def _study_of(run: Path) -> Path:
    """The file of trials in ``run``. Raises: BadArgument where there is none."""
    study, request = run / "study.db", run / "run.json"
    if not request.is_file():
        raise BadArgument(f"{run} is no run; give the folder that synth or search wrote, such as runs/digits")
    if not study.is_file():
        what = (
            "refine has no trials"
            if json.loads(request.read_text())["kind"] == "refine"
            else "its search did not begin"
        )
        raise BadArgument(f"{run} has nothing to show yet: {what}; steerage report {run} shows what there is")
    return study


def _read_only(study: Path) -> RDBStorage:
    """The trials in ``study`` as they come: nothing that is clicked can change a run, or be in its way."""
    from optuna.storages import RDBStorage

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{study.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    return RDBStorage("sqlite:///study.db", engine_kwargs={"creator": connect}, skip_table_creation=True)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a browser keeps its connections


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are of no interest."""
