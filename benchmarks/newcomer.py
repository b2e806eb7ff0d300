"""From the README to a first network: minutes of reading, typing and waiting; and what an import costs.

    python benchmarks/newcomer.py

The newcomer reads the README from its first line to the end of "Your first network" and types the commands that stand
there. They are taken from the README as it is, so that they stay true, and run in an empty folder, but for the
installation, whose time is that of downloads. The table is scikit-learn's wine (178 rows) under the name that the
README has. An import costs what a Python with nothing but ``import steerage`` takes more than a bare one, turn by turn,
in seconds of the processor: on a machine that others use as well the clock measures them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, row, write
from sklearn.datasets import load_wine

SECTION = "## Your first network"
WORDS_A_MINUTE, CHARACTERS_A_MINUTE = 240, 200
MOST_MINUTES, MOST_COMMANDS, MOST_IMPORT_SECONDS = 3.0, 4, 0.3
TURNS = 15
WATCHED = "import sys, steerage; sys.exit('torch' in sys.modules)"


def path_in(readme: str) -> tuple[str, list[str]]:
    """What is read up to the end of the section, and the commands in it, without their comments."""
    begin = readme.index(SECTION)
    read = readme[: readme.index("\n## ", begin)]
    (block,) = re.findall(r"^```\n(.*?)^```", read[begin:], flags=re.MULTILINE | re.DOTALL)
    return read, [" ".join(shlex.split(line, comments=True)) for line in block.splitlines()]


def words(markdown: str) -> int:
    """Words as they are read: without where links lead to, and without ruled lines."""
    text = re.sub(r"\]\([^)]*\)", "]", markdown)
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def typed(command: str, folder: Path) -> str:
    """What a command of the README prints; the ``steerage`` of this environment does it."""
    program, *rest = shlex.split(command)
    assert program == "steerage", command
    there = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "steerage", *rest], cwd=folder, env=there, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def seconds_of(code: str) -> tuple[float, float]:
    """Of the processor, and of the clock."""
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, time.perf_counter() - began


def import_seconds() -> tuple[float, float]:
    """Median seconds of ``import steerage``, of the processor and of the clock."""
    seconds_of(WATCHED), seconds_of("pass")  # compiles what is not compiled yet
    turns = [(seconds_of(WATCHED), seconds_of("pass")) for _ in range(TURNS)]
    processor, clock = (statistics.median(one[at] - bare[at] for one, bare in turns) for at in (0, 1))
    return processor, clock


def main() -> None:
    began = time.monotonic()
    read, commands = path_in((ROOT / "README.md").read_text(encoding="utf-8"))
    assert commands[0].startswith("pip install")
    name = next(word for word in shlex.split(commands[1]) if word.endswith(".csv"))
    with tempfile.TemporaryDirectory() as folder:
        frame = load_wine(as_frame=True).frame
        frame.to_csv(Path(folder) / name, index=False)
        waited = []
        for command in commands[1:]:
            start = time.monotonic()
            print(typed(command, Path(folder)))
            waited.append(time.monotonic() - start)
        (summary,) = Path(folder).glob("runs/*/summary.json")
        delivered = json.loads(summary.read_text(encoding="utf-8"))
    reading, typing = words(read) / WORDS_A_MINUTE, sum(map(len, commands)) / CHARACTERS_A_MINUTE
    processor, clock = import_seconds()
    rows = [
        row("minutes of reading and typing", [reading + typing], unit="minutes", bar=MOST_MINUTES),
        row(f"words read, at {WORDS_A_MINUTE} a minute", [words(read)], unit="words", bar=None),
        row(
            f"characters typed, at {CHARACTERS_A_MINUTE} a minute",
            [sum(map(len, commands))],
            unit="characters",
            bar=None,
        ),
        row("commands", [len(commands)], unit="commands", bar=MOST_COMMANDS),
        *(
            row(f"waiting for: {command}", [s], unit="s", bar=None)
            for command, s in zip(commands[1:], waited, strict=True)
        ),
        row("test error of the first network, wine", [delivered["error"]["test"]], unit="fraction", bar=None),
        row("its parameters", [delivered["params"]], unit="parameters", bar=None),
        row("import steerage, seconds of the processor", [processor], unit="seconds", bar=MOST_IMPORT_SECONDS),
        row("import steerage, seconds of the clock, this machine in use", [clock], unit="seconds", bar=None),
    ]
    for one in rows:
        print(f"{one['name']:<60}{one['value']:>12.4f}  bar {one['bar']}")
    print(write("newcomer", rows, command="python benchmarks/newcomer.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main()
