"""Devices: boards by name, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from steerage.cost import Budget, Device, device
from steerage.cost.device import CYCLES, in_milliseconds
from steerage.errors import BadArgument, InfeasibleBudget


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
        ('[a]\ncore = "cortex-m4"\nmhz = true\n', "mhz must be a positive number, got True"),
        (
            '[a]\ncore = "cortex-m4"\ncycles_per_instruction = -1.5\n',
            "cycles_per_instruction must be a positive number",
        ),
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


def test_a_clock_makes_a_time_a_bound_on_instructions() -> None:
    board = Device("board", "cortex-m4", mhz=10.0, cycles_per_instruction=2.0)
    assert board.milliseconds(10_000) == 2.0
    assert board.within(Budget(max_ram=9), 2.0) == Budget(max_ram=9, max_instructions=10_000)
    assert board.within(Budget(max_instructions=5), 2.0) == Budget(max_instructions=5)


def test_cycles_are_those_of_the_core_unless_the_device_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[a]\ncore = "cortex-m0"\nmhz = 1\ncycles_per_instruction = 4\n', encoding="utf-8")
    assert device(f"{file}:a").milliseconds(1000) == 4.0
    assert Device("b", "cortex-m0", mhz=1.0).milliseconds(1000) == CYCLES["cortex-m0"]


def test_a_time_on_a_device_without_a_clock_is_refused() -> None:
    assert device("cortex-m4").milliseconds(1000) is None
    with pytest.raises(BadArgument, match="name a board, or add mhz"):
        device("cortex-m4").within(Budget(), 1.0)
    with pytest.raises(BadArgument, match="max_latency_ms must be positive, got 0"):
        device("pico").within(Budget(), 0.0)


def test_what_no_network_is_fast_enough_for_is_told_in_milliseconds() -> None:
    board = Device("board", "cortex-m4", mhz=10.0, cycles_per_instruction=2.0)
    with (
        pytest.raises(InfeasibleBudget, match=r"max_latency_ms=1 cannot be met: .* needs 2;"),
        in_milliseconds(board, 1.0),
    ):
        raise InfeasibleBudget("max_instructions", 5000, 10_000, {})
