from __future__ import annotations

import pytest

from steerage.shellwords import joined, quoted


def test_words_with_blanks_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.name", "posix")
    assert joined(["steerage", "eval", "my runs/x", "a.csv"]) == "steerage eval 'my runs/x' a.csv"


def test_paths_of_windows_keep_their_backslashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.name", "nt")
    assert quoted(r"runs\x\network") == r"runs\x\network"
    assert quoted(r"my runs\x") == r'"my runs\x"'
