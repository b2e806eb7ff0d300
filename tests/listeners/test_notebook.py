"""The live view of a notebook, in a stand-in for its kernel."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from listeners.samples import run
from steerage.estimator.progress import printer
from steerage.listeners import notebook
from steerage.listeners.notebook import Notebook, of_notebook
from steerage.synthesis import synthesize
from tasks import table


class Kernel:
    """IPython as a notebook has it; what is displayed is kept."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace(kernel=object(), execution_count=1)
        self.places: list[list[str]] = []
        self.display = SimpleNamespace(HTML=str, display=self._display)

    def get_ipython(self) -> Any:
        return self.shell

    def _display(self, html: str, *, display_id: bool) -> Any:
        assert display_id
        shown = [html]
        self.places.append(shown)
        return SimpleNamespace(update=shown.append)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setitem(sys.modules, "IPython", kernel)  # type: ignore[arg-type]
    monkeypatch.setattr(notebook, "_places", {})
    monkeypatch.setattr(notebook, "REFRESH_SECONDS", 0.0)
    return kernel


def words(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def test_a_script_or_a_terminal_has_no_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert of_notebook() == ()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))  # type: ignore[arg-type]
    assert of_notebook() == ()
    terminal = SimpleNamespace(get_ipython=lambda: SimpleNamespace(execution_count=3))
    monkeypatch.setitem(sys.modules, "IPython", terminal)  # type: ignore[arg-type]
    assert of_notebook() == ()


def test_the_view_follows_the_run_and_leaves_what_came_of_it(kernel: Kernel, tmp_path: Path) -> None:
    earlier = ({"event": "TrialFailed", "at": 1.0, "number": 0, "reason": "none"},)
    listener = Notebook()
    for event in run(tmp_path, earlier=earlier):
        listener(event)
    listener.close()
    (shown,) = kernel.places
    texts = [words(one) for one in shown]
    assert "1:51 left of 2:00" in texts[0] or "1:52 left of 2:00" in texts[0]
    assert any("global search" in text and "1 of 2 done, 1 failed" in text for text in texts)
    assert any("predictor τ 0.50" in text for text in texts)
    assert any("25% refit, loss 0.3" in text for text in texts)
    assert "validation error 2.00 %, test error 3.00 %, 1,480 parameters (0:08)" in texts[-1]
    assert len(texts[-1].strip().splitlines()) == 2


def test_runs_of_one_cell_share_a_place_and_the_next_cell_has_another(kernel: Kernel, tmp_path: Path) -> None:
    for cell in (1, 1, 2):
        kernel.shell.execution_count = cell
        listener = Notebook()
        for event in run(tmp_path):
            listener(event)
        listener.close()
    assert len(kernel.places) == 2


def test_a_run_that_is_stopped_says_so(kernel: Kernel, tmp_path: Path) -> None:
    listener = Notebook()
    listener(run(tmp_path)[0])
    listener.close()
    assert "stopped (0:08)" in words(kernel.places[0][-1])


def test_a_synthesis_in_a_notebook_is_shown_unless_nobody_is_to_listen(kernel: Kernel, tmp_path: Path) -> None:
    synthesize(table(), trials=1, epochs=1, out=tmp_path / "quiet", listener=())
    assert kernel.places == []
    synthesize(table(), trials=1, epochs=1, out=tmp_path / "shown")
    assert "clouds: 120 training rows" in words(kernel.places[0][-1])


def test_estimators_leave_it_to_the_notebook_unless_told_otherwise() -> None:
    assert printer(0) is None and printer(-1) == () and callable(printer(1))
