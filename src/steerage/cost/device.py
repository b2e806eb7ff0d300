"""Devices that code is made for: a processor, and the flash and RAM that are there."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, final

from steerage.cost.budget import Budget
from steerage.errors import BadArgument
from steerage.micro.codesize import CORES, Core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BOARDS = Path(__file__).with_name("devices.toml")
KEYS: Mapping[str, type] = {"core": str, "flash": int, "ram": int, "mhz": float}


@final
@dataclass(frozen=True)
class Device:
    """A processor ``core``; ``flash`` and ``ram`` in bytes, None where they are not known; ``mhz``: its clock."""

    name: str
    core: Core
    flash: int | None = None
    ram: int | None = None
    mhz: float | None = None

    def budget(self, given: Budget) -> Budget:
        """``given``, bounded by what there is on the device where it leaves flash or RAM open."""
        return replace(given, max_flash=given.max_flash or self.flash, max_ram=given.max_ram or self.ram)


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
    for key in ("flash", "ram", "mhz"):
        value = table.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int if key != "mhz" else (int, float)) or value <= 0:
            unit = "" if key == "mhz" else " of bytes"
            raise BadArgument(f"{where}: {key} must be a positive number{unit}, got {value!r}; mend the file")
    return Device(name, table["core"], table.get("flash"), table.get("ram"), table.get("mhz"))
