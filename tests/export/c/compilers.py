"""Compilers for the tests of generated code, which are skipped where there are none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.export.c import Options, Verified, verify
from steerage.export.c.toolchain import TARGETS, Target, compiler
from steerage.export.examples import example_rows
from steerage.micro import layout
from steerage.micro.storage import Format, Layer, Stored

needs_host = pytest.mark.skipif(compiler(TARGETS["host"]) is None, reason="this machine has no C compiler")
needs_board = pytest.mark.skipif(
    compiler(TARGETS["cortex-m4"]) is None, reason="this machine has no arm-none-eabi-gcc and qemu-system-arm"
)


def agrees(
    network: Network, *, target: str | Target = "host", rows: Tensor | None = None, n: int = 12, **options: object
) -> Verified:
    """Verified on made-up rows; a difference beyond 1e-5 and 1e-4 of a row's largest number raises."""
    if rows is None:
        rows = example_rows(network.preprocess, n, generator=torch.Generator().manual_seed(1))
    verified = verify(network, TARGETS[target] if isinstance(target, str) else target, rows, options=Options(**options))  # type: ignore[arg-type]
    assert verified.difference < 1e-5
    assert verified.agreement == 1.0
    assert verified.tables in (None, verified.predicted_tables)
    assert verified.static_ram in (None, 0)
    return verified


def store_as(monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    """Store every layer that can be as ``format``, whatever is smaller."""

    def chosen(options: Mapping[Layer, Mapping[Format, Stored]]) -> dict[Layer, Format]:
        return {layer: format if format in ways else "dense" for layer, ways in options.items()}

    monkeypatch.setattr(layout, "_smallest", chosen)


def built(files: Mapping[str, str], folder: Path, *, name: str, flags: Sequence[str]) -> Path:
    """The self-test, compiled with ``flags`` besides C99 without warnings."""
    folder.mkdir(exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    found = compiler(TARGETS["host"])
    assert found is not None
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    sources = [f"{name}.c", f"{name}_test.c"]
    done = subprocess.run(
        [found, *strict, *flags, *sources, "-lm", "-o", "self_test"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "self_test"


def has(tool: str) -> bool:
    """Whether a program is installed."""
    return shutil.which(tool) is not None
