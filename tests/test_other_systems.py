"""What Windows and macOS lack or have otherwise, taken away from this system."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from steerage import store
from steerage.cli.guard import run
from steerage.execute import usable_cores


def test_cores_are_counted_where_a_process_has_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_doctor_needs_neither_affinity_nor_proc(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    there = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: not str(path).startswith("/proc") and there(path))
    assert run(["doctor"], started=time.monotonic()) in (0, 2)  # 2 where this machine lacks something
    out, err = capsys.readouterr()
    assert "threads" in out + err and "GB free here" in out + err
    assert "memory" not in out


@pytest.fixture
def windows_store(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module ``store`` as Windows imports it, with locks like its own."""
    locked: set[tuple[int, int]] = set()

    def locking(handle: int, mode: str, size: int) -> None:
        place = (os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR))
        assert size == 1
        if mode == "unlock":
            locked.remove(place)
        elif place in locked:
            raise OSError(errno.EACCES, "Permission denied")
        else:
            locked.add(place)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK="lock", LK_UNLCK="unlock"))
    spec = importlib.util.spec_from_file_location("store_of_windows", store.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        patch.delattr(os, "register_at_fork", raising=False)
        spec.loader.exec_module(module)
    return module


def test_a_run_is_locked_without_fcntl(windows_store: ModuleType, tmp_path: Path) -> None:
    with (
        windows_store.RunLock(tmp_path),
        pytest.raises(windows_store.RunConflict, match=f"in use by process {os.getpid()}"),
        windows_store.RunLock(tmp_path),
    ):
        pass
    with windows_store.RunLock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_files_are_written_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refusing(path: object, flags: int, *rest: int) -> int:
        if Path(str(path)).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(str(path), flags, *rest)

    monkeypatch.setattr(os, "open", refusing)
    store.write_atomic(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
