"""Devices: boards by name, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from steerage.cost import Budget, Device, device
from steerage.errors import BadArgument


def test_a_core_is_a_device_of_unknown_size() -> None:
    assert device("cortex-m0") == Device("cortex-m0", "cortex-m0")


def test_boards_bound_what_a_budget_leaves_open() -> None:
    board = device("blue-pill")
    assert (board.core, board.flash, board.ram) == ("cortex-m3", 65536, 20480)
    assert board.budget(Budget(max_ram=5000)) == Budget(max_flash=65536, max_ram=5000)


def test_a_file_of_ones_own_has_devices_by_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[sensor]\ncore = "cortex-m0"\nflash = 16384\nram = 2048\nmhz = 16\n', encoding="utf-8")
    assert device(str(file)) == device(f"{file}:sensor") == Device("sensor", "cortex-m0", 16384, 2048, 16)
    file.write_text(file.read_text(encoding="utf-8") + '[other]\ncore = "cortex-m4"\n', encoding="utf-8")
    with pytest.raises(BadArgument, match="sensor, other"):
        device(str(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nflash = 5\n", "core"),
        ('[a]\ncore = "cortex-m4"\nflash = "64k"\n', "flash must be a positive number of bytes"),
        ('[a]\ncore = "cortex-m4"\nram = 0\n', "ram must be"),
        ('[a]\ncore = "cortex-m4"\nrom = 5\n', "'rom'"),
        ("a = [", "no TOML"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadArgument, match=message):
        device(f"{file}:a")


def test_unknown_names_and_missing_files_say_what_there_is() -> None:
    with pytest.raises(BadArgument, match=r"a core \(cortex-m4, cortex-m3, cortex-m0\), a board"):
        device("toaster")
    with pytest.raises(BadArgument, match="give blue-pill"):
        device("bluepill")
    with pytest.raises(BadArgument, match="cannot be read"):
        device("nowhere.toml:a")
