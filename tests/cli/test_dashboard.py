"""``steerage dashboard``: trials in a browser, read only, until Ctrl-C."""

from __future__ import annotations

import _thread
import json
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import create_trial

from steerage.cli import dashboard
from steerage.cli.guard import run
from steerage.search.run import study_file

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def fake_wsgi(storage: Any) -> Any:
    """A page with the number of trials, and how an attempt to write ends."""

    def application(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        try:
            storage.set_study_user_attr(1, "key", "value")
            written = "written"
        except Exception as error:
            written = type(error).__name__
        yield f"{storage.get_n_trials(1)} {written}".encode()

    return application


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose search has one trial; its name needs quoting in a URI."""
    folder = tmp_path / "a run#1"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"kind": "synth"}))
    with study_file(folder / "study.db") as study:
        study.add_trial(create_trial(value=0.5, params={"width": 8}, distributions={"width": IntDistribution(1, 9)}))
    return folder


def served(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: str = ""
) -> tuple[int, str, str]:
    """Exit code and stderr of the command, and what a browser got before Ctrl-C."""
    got: list[str] = []

    def visit(address: str) -> None:
        try:
            with urllib.request.urlopen(address.partition("/dashboard")[0] + path, timeout=10) as answer:
                got.append(answer.read().decode())
        finally:
            _thread.interrupt_main()

    monkeypatch.setattr(dashboard, "OPEN_SECONDS", 0.05)
    monkeypatch.setattr(webbrowser, "open", visit)
    code = run(["dashboard", str(folder), "--port", "0"], started=time.monotonic())
    return code, capsys.readouterr().err, "".join(got)


def test_trials_are_served_until_ctrl_c_and_cannot_be_changed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", SimpleNamespace(wsgi=fake_wsgi))  # type: ignore[arg-type]
    code, err, got = served(folder, capsys, monkeypatch)
    assert (code, got) == (0, "1 StorageInternalError")
    assert err.startswith("http://127.0.0.1:") and err.endswith("; Ctrl-C ends it\n") and err.count("\n") == 1


@pytest.mark.filterwarnings("ignore")
def test_the_real_dashboard_has_the_trials(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna_dashboard", reason="it is not installed (pip install 'steerage-nn[dashboard]')")
    code, _, got = served(folder, capsys, monkeypatch, "/api/studies/1")
    assert (code, [trial["number"] for trial in json.loads(got)["trials"]]) == (0, [0])


def test_what_cannot_be_shown_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", SimpleNamespace(wsgi=fake_wsgi))  # type: ignore[arg-type]
    for kind, told in ((None, "is no run"), ("refine", "refine has no trials"), ("synth", "did not begin")):
        if kind is not None:
            (tmp_path / "run.json").write_text(json.dumps({"kind": kind}))
        assert run(["dashboard", str(tmp_path)], started=time.monotonic()) == 2
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1


def test_a_port_that_is_taken_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", SimpleNamespace(wsgi=fake_wsgi))  # type: ignore[arg-type]
    with dashboard.make_server(dashboard.HOST, 0, fake_wsgi(None)) as other:
        assert run(["dashboard", str(folder), "--port", str(other.server_port)], started=time.monotonic()) == 2
    assert "cannot be had (Address already in use); 0 takes one that is free" in capsys.readouterr().err


def test_without_the_package_one_is_told_how_to_install_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert run(["dashboard", str(folder)], started=time.monotonic()) == 2
    assert "pip install 'steerage-nn[dashboard]'" in capsys.readouterr().err
