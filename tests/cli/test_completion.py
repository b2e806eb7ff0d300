from __future__ import annotations

import time

import pytest

from steerage.bundle.zoo import zoo_names
from steerage.cli import completion, networks
from steerage.cli.guard import run
from steerage.cost.device import BOARDS, tomllib
from steerage.data.dataset import TaskSpec
from steerage.data.sources import SKLEARN
from steerage.export.c.toolchain import TARGETS
from steerage.growprune.schemes import NAMES
from steerage.micro.codesize import CORES
from steerage.templates import TEMPLATES


def test_the_names_that_are_completed_are_those_that_there_are() -> None:
    image = TaskSpec("classification", "image", (3, 32, 32), 10, 1000)
    published = {name for one in TEMPLATES.values() if one.accepts(image) for name in one.named(image)}
    assert set(completion.DATA) == set(SKLEARN)
    assert set(completion.ZOO) == {f"zoo:{name}" for name in zoo_names()}
    assert set(completion.TEMPLATES) == {"auto", *TEMPLATES}
    assert published <= set(completion.PUBLISHED)
    assert set(completion.SCHEMES) == set(NAMES)
    assert set(completion.CORES) == set(CORES)
    assert set(completion.CORES) | {"host"} == set(TARGETS)
    assert set(completion.BOARDS) == set(tomllib.loads(BOARDS.read_text(encoding="utf-8")))
    assert set(completion.FORMATS) == set(networks.FORMATS)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("steerage syn", ["synth"]),
        ("steerage synth di", ["diabetes", "digits"]),
        ("steerage synth digits --template mo", ["mobile"]),
        ("steerage synth digits --metric au", ["auroc"]),
        ("steerage synth digits --device nucleo-l", ["nucleo-l053r8", "nucleo-l476rg"]),
        ("steerage refine net.pt2 digits --scheme a", ["auto"]),
        (
            "steerage eval zoo:mnist",
            ["zoo:mnist-10k", "zoo:mnist-1k", "zoo:mnist-3k", "zoo:mnist-50k", "zoo:mnist-5k"],
        ),
        ("steerage export runs/x --to o", ["onnx"]),
        ("steerage synth runs/x.csv", []),
    ],
)
def test_the_shell_is_told_names_that_fit(
    line: str, names: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.split(" ")
    monkeypatch.setenv("_STEERAGE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    assert run([], started=time.monotonic()) == 0
    out, err = capsys.readouterr()
    assert (out.split(), err) == (names, "")


def test_an_unknown_shell_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_STEERAGE_COMPLETE", "complete_abacus")
    assert run([], started=time.monotonic()) == 2
    assert "use bash, zsh, fish or PowerShell" in capsys.readouterr().err


def test_the_script_for_a_shell_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setenv("_STEERAGE_COMPLETE", "source_bash")
    assert run([], started=time.monotonic()) == 0
    assert "_STEERAGE_COMPLETE=complete_bash" in capsys.readouterr().out
