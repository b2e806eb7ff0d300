from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import steerage

ROOT = Path(__file__).resolve().parents[1]


def test_importing_the_package_imports_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = {*sys.modules}; import steerage; "
        "print(*sorted({name.partition('.')[0] for name in {*sys.modules} - before} - sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    assert done.stdout == "steerage\n"


def test_a_network_is_loaded_without_what_only_data_need() -> None:
    code = "import sys, steerage; steerage.load('zoo:digits-1500'); print(*({'sklearn', 'scipy'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files(steerage).joinpath("py.typed").is_file()


def test_the_version_is_stated_in_one_place() -> None:
    stated = re.compile(rf"(version|__version__)\s*[=:]\s*[\"']?{re.escape(steerage.__version__)}\b")
    files = [ROOT / "pyproject.toml", *sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "src").rglob("*.toml"))]
    found = [path.name for path in files if stated.search(path.read_text(encoding="utf-8"))]
    assert found == ["_version.py"]


def test_every_kind_of_file_in_the_package_goes_into_the_wheel() -> None:
    known = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (patterns,) = re.findall(r"^steerage = \[(.*)\]$", known, flags=re.MULTILINE)
    package = ROOT / "src" / "steerage"
    packed = {path for pattern in re.findall(r'"([^"]+)"', patterns) for path in package.glob(pattern)}
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others == {path for path in packed if path.is_file()}
