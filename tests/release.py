"""Is what ``python -m build`` has made ready to be released? ``make wheel`` runs this on dist/.

The wheel has less than 1 MB and every file of the package; the source archive has tests and documentation as well. In
an environment where nothing else is the package can be imported; with its dependencies added the command works.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 1_000_000
IMPORTED = "import sys, steerage; assert not {'torch', 'numpy', 'typer'} & {*sys.modules}; print(steerage.__version__)"
ALSO = ("tests/conftest.py", "docs/index.md", "benchmarks/common.py", "constraints.txt", "LICENSE", "NOTICE", ".ci/run")


def check_wheel(wheel: Path) -> str:
    """Size and files; the version that the wheel is of."""
    size = wheel.stat().st_size
    assert size < MOST_BYTES, f"{wheel.name} has {size:,} bytes"
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("steerage/")}
    package = ROOT / "src"
    wanted = {path.relative_to(package).as_posix() for path in (package / "steerage").rglob("*") if path.is_file()}
    wanted = {name for name in wanted if "__pycache__" not in name}
    assert inside == wanted, f"{wheel.name} differs from src in {sorted(inside ^ wanted)}"
    print(f"{wheel.name}: {size:,} bytes, {len(inside)} files")
    return wheel.name.split("-")[1]


def check_source(archive: Path) -> None:
    with tarfile.open(archive) as file:
        inside = {name.partition("/")[2] for name in file.getnames()}
    missing = [name for name in ALSO if name not in inside]
    assert not missing, f"{archive.name} lacks {missing}"
    print(f"{archive.name}: {archive.stat().st_size:,} bytes, {len(inside)} files")


def check_installed(wheel: Path, version: str) -> None:
    """In a bare environment, then with the packages of this one beside it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "env", with_pip=True)
        scripts = place / "env" / ("Scripts" if os.name == "nt" else "bin")
        there = {**os.environ, "OMP_NUM_THREADS": "1"}
        there.pop("PYTHONPATH", None)

        def said(*command: object) -> str:
            words = [str(word) for word in command]
            done = subprocess.run(words, capture_output=True, text=True, cwd=place, env=there, check=False)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
            return done.stdout

        said(scripts / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel.resolve())
        assert said(scripts / "python", "-c", IMPORTED) == f"{version}\n"
        home = said(scripts / "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
        (Path(home) / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
        assert said(scripts / "steerage", "--version") == f"steerage {version}\n"
        assert "all that are required" in said(scripts / "steerage", "doctor")
        print(said(scripts / "steerage", "eval", "zoo:digits-1500", "digits"), end="")
        print(said(scripts / "python", "-c", "import steerage; print(steerage.__file__)"), end="")


def main(dist: Path) -> None:
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    version = check_wheel(wheel)
    check_source(source)
    check_installed(wheel, version)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
