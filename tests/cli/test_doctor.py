"""``steerage doctor``: one screen, and an exit code that scripts can use."""

from __future__ import annotations

import json
import shutil
import time
from importlib import metadata

import pytest
import torch

from steerage.cli import doctor
from steerage.cli.guard import run

GOOD = [doctor.Check("ok", "torch", "trains"), doctor.Check("none", "Ray", "optional")]


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(list(words), started=time.monotonic())
    return (code, *capsys.readouterr())


def test_the_screen_has_what_the_installation_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = typed(capsys, "doctor", "--json")
    subjects = [check["subject"] for check in json.loads(out)]
    assert (code, err) == (0, "")
    assert {"packages", "torch", "threads", "bfloat16", "disk", "C compiler", "Cortex-M", "Ray"} <= set(subjects)
    text = doctor.in_words([doctor.Check(**check) for check in json.loads(out)])
    assert max(map(len, text.splitlines())) <= 80 and len(text.splitlines()) <= 24


def test_what_is_optional_does_not_fail(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, out, _ = typed(capsys, "doctor")
    assert code == 0
    assert "\n-   C compiler" in out and "apt-get install gcc" in out


def test_too_many_threads_are_a_fault_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4096)
    code, out, err = typed(capsys, "doctor")
    assert (code, out) == (2, "")
    assert "BAD threads" in err and "OMP_NUM_THREADS=" in err
    assert err.splitlines()[-1].startswith("error: steerage needs what is not in order here: threads")


@pytest.mark.parametrize(
    ("version", "fault"), [("1.10.2", ""), ("1.9.9", "numpy is 1.9.9, needs 1.10"), ("2.0rc1+cpu", "")]
)
def test_versions_are_compared_by_number(version: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert doctor._fault("numpy>=1.10") == fault


def test_a_package_that_is_missing_is_named() -> None:
    assert doctor._fault("no-such-package>=2") == "no-such-package is missing"


def test_what_is_for_an_extra_or_an_older_python_is_not_asked_for() -> None:
    assert doctor._applies("numpy>=1.26")
    assert doctor._applies("tomli>=2.0; python_version < '99'")
    assert not doctor._applies("tomli>=2.0; python_version < '3.2'")
    assert not doctor._applies('ray>=2.9; extra == "ray"')
