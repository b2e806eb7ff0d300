"""Compilers and emulators for generated code: this machine, and Arm microcontrollers in QEMU."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from steerage.errors import ExportMismatch, MissingTool

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
SECONDS = 600.0  # that a program may take
CLOCK = 40  # instructions from one tick of the emulated board's clock to the next


@final
@dataclass(frozen=True)
class Target:
    """Where code runs. ``board``: of QEMU's, None for this machine; ``flags`` choose the processor."""

    name: str
    compilers: tuple[str, ...]
    flags: tuple[str, ...] = ()
    board: str | None = None


ARM = ("arm-none-eabi-gcc",)
TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("host", ("cc", "gcc", "clang")),
        Target(
            "cortex-m4",
            ARM,
            ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
            "mps2-an386",
        ),
        Target("cortex-m3", ARM, ("-mcpu=cortex-m3", "-mthumb"), "mps2-an385"),
        Target("cortex-m0", ARM, ("-mcpu=cortex-m0", "-mthumb"), "mps2-an385"),  # an M3 runs what an M0 does
    )
}
MAP = "-Wl,-Map=program.map"
EMULATOR = "qemu-system-arm"


def compiler(target: Target) -> str | None:
    """Path of the compiler for a target; None where it, or the emulator that the target needs, is missing."""
    if target.board is not None and shutil.which(EMULATOR) is None:
        return None
    return next((found for name in target.compilers if (found := shutil.which(name)) is not None), None)


def needed(target: Target) -> str:
    """Compiler of a target. Raises: MissingTool with what to install."""
    found = compiler(target)
    if found is None and target.board is None:
        raise MissingTool("there is no C compiler (cc, gcc or clang); install one: apt-get install gcc")
    if found is None:
        raise MissingTool(
            f"{target.name} needs {target.compilers[0]} and {EMULATOR}; "
            "install them: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
        )
    return found


def compile_object(target: Target, source: Path, *, extra: Sequence[str] = (), strict: bool = True) -> Path:
    """Object file beside ``source``. Raises: MissingTool; ExportMismatch for code that the compiler refuses."""
    output = source.with_suffix(".o")
    flags = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", *(WARNINGS if strict else ()))
    _run([needed(target), *target.flags, *flags, *extra, "-c", source.name, "-o", output.name], source.parent)
    return output


def link(target: Target, objects: Sequence[Path], script: Path | None) -> Path:
    """Program beside the first of ``objects``. Raises: MissingTool, ExportMismatch."""
    folder, output = objects[0].parent, objects[0].with_suffix(".elf")
    board = ("-nostartfiles", "-T", str(script), "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections", MAP)
    names = [one.name for one in objects]
    options = () if script is None else board
    _run([needed(target), *target.flags, *options, *names, "-lm", "-o", output.name], folder)
    return output


def library_bytes(folder: Path) -> int:
    """Code and constants that the last program linked in ``folder`` for a board has from libraries."""
    _, _, sections = (folder / "program.map").read_text(encoding="utf-8").partition("Linker script and memory map")
    found = re.findall(r"^ \.(?:text|rodata|data)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) \S+\.a\(", sections, re.MULTILINE)
    return sum(int(size, 16) for size in found)


def execute(target: Target, program: Path) -> None:
    """Run a program in its folder. Raises: ExportMismatch if it fails or never ends."""
    if target.board is None:
        _run([str(program)], program.parent)
        return
    emulated = ["-M", target.board, "-nographic", "-monitor", "none", "-serial", "null", "-icount", "shift=0"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    _run([EMULATOR, *emulated, *semihosting, "-kernel", program.name], program.parent)


def sections(target: Target, binary: Path) -> dict[str, int]:
    """Bytes of code and constants (``text``), of initialized data and of zeros, in an object or program."""
    tool = re.sub(r"(gcc|cc|clang)$", "size", Path(needed(target)).name) if target.board is not None else "size"
    if shutil.which(tool) is None:
        return {}
    answer = _run([tool, "-A", binary.name], binary.parent)
    found = {"text": 0, "data": 0, "bss": 0}
    for line in answer.splitlines():
        match = re.match(r"\.(text|rodata|data|bss)\S*\s+(\d+)", line)
        if match is not None:
            found["text" if match[1] == "rodata" else match[1]] += int(match[2])
    return found


def _run(command: Sequence[str], folder: Path) -> str:
    """What a command prints. Raises: ExportMismatch if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ExportMismatch(f"{Path(command[0]).name} did not end within {SECONDS:g} seconds") from error
    except OSError as error:
        raise ExportMismatch(f"{command[0]} cannot be started ({error.strerror})") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        first = next((line for line in lines if "error" in line), lines[0] if lines else f"exit code {done.returncode}")
        raise ExportMismatch(f"{Path(command[0]).name} failed: {first}")
    return done.stdout
