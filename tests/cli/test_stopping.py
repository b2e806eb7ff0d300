from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import steerage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send Ctrl-C to itself on Windows")
# A real signal at the moment when a module is looked for: before the guard, in the parser, while libraries are loading.
DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where tests run in the background
class Ctrl:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
moment = sys.argv.pop(1)
sys.meta_path.insert(0, Ctrl())
from steerage.cli import main
main()
"""
LATE = """
import atexit, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from steerage.cli import main
atexit.register(lambda: signal.raise_signal(signal.SIGINT))
sys.argv[1:] = ["--version"]
main()
"""


def python(code: str, *words: str, folder: Path) -> tuple[int, str, str]:
    there = {**os.environ, "PYTHONPATH": str(Path(steerage.__file__).parents[1])}
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, env=there, cwd=folder, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("steerage.cli.guard", "synth iris"),
        ("steerage.cli.app", "doctor"),
        ("typer", "report runs/x"),
        ("numpy", "eval zoo:digits-1500 digits"),
        ("rich.live", "search iris"),
        ("torch.nn", "verify zoo:digits-1500 --target host"),
        ("sklearn.datasets", "refine zoo:digits-1500 digits --max-params 900"),
    ],
)
def test_ctrl_c_while_loading_is_one_line_and_its_exit_code(module: str, command: str, tmp_path: Path) -> None:
    code, out, err = python(DRIVER, module, *command.split(), folder=tmp_path)
    assert (code, out, err) == (128 + signal.SIGINT, "", "stopped; give the same command again to go on\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_when_all_is_said_changes_nothing(tmp_path: Path) -> None:
    assert python(LATE, folder=tmp_path) == (0, f"steerage {steerage.__version__}\n", "")
