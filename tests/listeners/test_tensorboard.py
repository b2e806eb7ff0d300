"""What is written for TensorBoard: with the package where it is installed, else with a stand-in for its writer."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from listeners.samples import run
from steerage.errors import MissingDependency
from steerage.listeners import TensorBoard


class Writer:
    """``SummaryWriter`` as far as it is used."""

    made: list[Writer] = []  # noqa: RUF012  # one list for all is what it is for

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.closed = folder, [], False
        self.texts: dict[str, str] = {}
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def add_text(self, name: str, text: str, step: int = 0) -> None:
        self.texts[name] = text

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[Writer]:
    module: Any = ModuleType("torch.utils.tensorboard.writer")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(writer=module))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer


def test_curves_settings_and_hyperparameters_are_written(stand_in: type[Writer], tmp_path: Path) -> None:
    listener = TensorBoard(tmp_path / "logs")
    told = run(tmp_path)
    for event in [*told[:7], told[6], *told[7:]]:  # a sign of life comes twice
        listener(event)
    listener.close()
    (writer,) = stand_in.made
    assert writer.folder == str(tmp_path / "logs") and writer.closed
    assert ("search/best", 0.11, 0) in writer.scalars and ("delivered/error/test", 0.03, 0) in writer.scalars
    assert writer.scalars.count(("refit/loss", 0.3, 250)) == 1
    assert "| data | digits |" in writer.texts["run/settings"] and "| width | 8 |" in writer.texts["search/values"]


def test_another_run_opens_it_again(stand_in: type[Writer], tmp_path: Path) -> None:
    listener = TensorBoard(tmp_path)
    for _ in range(2):
        for event in run(tmp_path):
            listener(event)
        listener.close()
    first, second = stand_in.made
    assert first.scalars == second.scalars


def test_nothing_is_made_before_a_run(stand_in: type[Writer], tmp_path: Path) -> None:
    TensorBoard(tmp_path / "logs").close()
    assert stand_in.made == [] and not (tmp_path / "logs").exists()


def test_without_the_package_one_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingDependency, match=r"pip install 'steerage-nn\[tensorboard\]'"):
        TensorBoard("logs")


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'steerage-nn[tensorboard]')")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    listener = TensorBoard(tmp_path)
    for event in run(tmp_path):
        listener(event)
    listener.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(one.step, round(one.value, 3)) for one in found.Scalars("predictor/tau")] == [(1, 0.5)]
    assert "run/settings/text_summary" in found.Tags()["tensors"]
