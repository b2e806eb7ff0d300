"""Devices that code is made for: a processor, the flash and RAM that are there, and how fast it is."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, final

from steerage.cost.budget import Budget
from steerage.errors import BadArgument, InfeasibleBudget
from steerage.micro.codesize import CORES, Core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BOARDS = Path(__file__).with_name("devices.toml")
KEYS = ("core", "flash", "ram", "mhz", "cycles_per_instruction")
WHOLE = ("flash", "ram")
# Assumed means over the inner loops of generated code, not measured on boards. By the instruction timings in ARM's
# technical reference manuals a load takes 2 cycles, a branch that is taken 2 to 4, a fused multiplication and addition
# of a Cortex-M4F 3, and most else 1. Waiting for slow flash is in none of them.
CYCLES: Mapping[Core, float] = {"cortex-m4": 1.8, "cortex-m3": 1.5, "cortex-m0": 1.5}


@final
@dataclass(frozen=True)
class Device:
    """A processor ``core``; ``flash`` and ``ram`` in bytes, None where they are not known; ``mhz``: its clock.

    ``cycles_per_instruction``: of generated code at the mean; None for what is usual on the core (``CYCLES``).
    """

    name: str
    core: Core
    flash: int | None = None
    ram: int | None = None
    mhz: float | None = None
    cycles_per_instruction: float | None = None

    def milliseconds(self, instructions: int) -> float | None:
        """How long so many instructions take, estimated; None without a clock."""
        return None if self.mhz is None else instructions / self._per_millisecond(self.mhz)

    def within(self, given: Budget, max_ms: float) -> Budget:
        """``given``, with no more instructions than take ``max_ms``, as estimated.

        Raises: BadArgument for a device without a clock, or a time that is not positive.
        """
        if self.mhz is None:
            raise BadArgument(
                f"max_latency_ms needs a clock, and {self.name} has none; name a board, or add mhz to the device's TOML"
            )
        if not max_ms > 0:
            raise BadArgument(f"max_latency_ms must be positive, got {max_ms:g}; give a number such as 5")
        most = max(1, math.floor(max_ms * self._per_millisecond(self.mhz)))
        return replace(given, max_instructions=min(given.max_instructions or most, most))

    def _per_millisecond(self, mhz: float) -> float:
        return 1000.0 * mhz / (self.cycles_per_instruction or CYCLES[self.core])

    def budget(self, given: Budget) -> Budget:
        """``given``, bounded by what there is on the device where it leaves flash or RAM open."""
        return replace(given, max_flash=given.max_flash or self.flash, max_ram=given.max_ram or self.ram)


@contextmanager
def in_milliseconds(device: Device | None, max_ms: float | None) -> Iterator[None]:
    """Where a bound on instructions stands for ``max_ms`` on ``device``, InfeasibleBudget says so in milliseconds."""
    try:
        yield
    except InfeasibleBudget as error:
        needed = None if device is None or max_ms is None else device.milliseconds(round(error.smallest))
        if needed is None or max_ms is None or error.constraint != "max_instructions":
            raise
        raise InfeasibleBudget("max_latency_ms", max_ms, needed, error.values) from None


def device(name: str) -> Device:
    """A board or a core by name, or ``FILE.toml:NAME``, one of one's own (``NAME`` may be left out if it is the only).

    Raises: BadArgument for an unknown name, and for a file that is missing, or not of the form of ``devices.toml``.
    """
    file, _, one = name.rpartition(":") if ".toml:" in name else (name, "", "")
    if file.endswith(".toml"):
        return _own(Path(file), one)
    if name in CORES:
        return Device(name, CORES[CORES.index(name)])
    boards = _boards()
    if name not in boards:
        close = difflib.get_close_matches(name, [*CORES, *boards], n=3)
        likely = " or ".join(close) or f"a core ({', '.join(CORES)})"
        raise BadArgument(f"there is no device {name!r}; give {likely}, a board of docs/devices.md, or FILE.toml:NAME")
    return boards[name]


@cache
def _boards() -> dict[str, Device]:
    return _read(BOARDS)


def _own(path: Path, name: str) -> Device:
    found = _read(path)
    if not name and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        raise BadArgument(f"{path} has the devices {', '.join(found) or 'none'}; give one of them as {path}:NAME")
    return found[name]


def _read(path: Path) -> dict[str, Device]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadArgument(f"{path} cannot be read ({error.strerror}); give a TOML file of devices") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadArgument(f"{path} is no TOML file ({error}); see docs/devices.md for one") from None
    return {name: _checked(f"{path}: {name}", name, table) for name, table in tables.items()}


def _checked(where: str, name: str, table: Any) -> Device:
    if not isinstance(table, dict) or table.get("core") not in CORES:
        raise BadArgument(f"{where} must be a table with a core that is known; set core to one of {', '.join(CORES)}")
    if unknown := [key for key in table if key not in KEYS]:
        raise BadArgument(f"{where} has {unknown[0]!r}; what it may have is {', '.join(KEYS)}")
    for key, value in table.items():
        kinds = int if key in WHOLE else (int, float)
        if key != "core" and (isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < math.inf):
            unit = " of bytes" * (key in WHOLE)
            raise BadArgument(f"{where}: {key} must be a positive number{unit}, got {value!r}; mend the file")
    return Device(name, **table)
