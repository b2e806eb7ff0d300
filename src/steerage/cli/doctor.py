"""The command that looks at the installation: doctor."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from steerage._version import __version__
from steerage.cli.session import Job, Session
from steerage.errors import MissingDependency

State = Literal["ok", "none", "bad"]
DISTRIBUTION = "steerage-nn"
LEAST_BYTES = 1_000_000_000  # of free disk and of memory, below which a run of any size may fail
WIDTH = 80
OPTIONAL = (  # what it is called, the extra that brings it, and packages that have it
    ("Ray", "ray", ("ray",)),
    ("torchvision", "vision", ("torchvision",)),
    ("dashboard", "dashboard", ("optuna-dashboard",)),
    ("TensorBoard", "tensorboard", ("tensorboard",)),
    ("MLflow", "mlflow", ("mlflow", "mlflow-skinny")),
    ("PostgreSQL driver", "postgresql", ("psycopg",)),
)


@dataclass(frozen=True)
class Check:
    """One line of the screen. ``state``: "none" is something optional that is not there, "bad" what must be mended."""

    state: State
    subject: str
    message: str


def examination(*, as_json: bool) -> Job:
    """What works here, what is missing and what to do about it."""

    def job(session: Session) -> str:
        checks = [check for one in (_packages, _torch, _processor, _space, _compilers, _extras) for check in one()]
        text = json.dumps([asdict(check) for check in checks], indent=2) + "\n" if as_json else in_words(checks)
        bad = [check.subject for check in checks if check.state == "bad"]
        if bad:
            print(text, end="")
            raise MissingDependency(f"steerage needs what is not in order here: {', '.join(bad)}; see the lines above")
        return text

    return job


def in_words(checks: list[Check]) -> str:
    """One screen of at most 80 columns."""
    first = f"steerage {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    lines = [first]
    names = {"ok": "ok", "none": "-", "bad": "BAD"}
    width = max(len(check.subject) for check in checks)
    for check in checks:
        head = f"{names[check.state]:<4}{check.subject:<{width}}  "
        lines += textwrap.wrap(
            check.message, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
        )
    return "\n".join(lines) + "\n"


def _packages() -> Iterator[Check]:
    """What the installed package says that it requires."""
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Check("none", "packages", f"not checked: {DISTRIBUTION} is not installed, it runs from its source")
        return
    faults = [fault for line in required if _applies(line) and (fault := _fault(line))]
    if faults:
        yield Check("bad", "packages", f"{'; '.join(faults)}: pip install --upgrade {DISTRIBUTION}")
    else:
        yield Check("ok", "packages", "all that are required, in versions that fit")


def _applies(requirement: str) -> bool:
    """Whether it is not for an extra, or for another version of Python: ``; python_version < "3.11"``."""
    _, _, marker = requirement.partition(";")
    below = re.search(r"python_version\s*<\s*['\"]([\d.]+)", marker)
    return "extra ==" not in marker and (below is None or sys.version_info < _numbers(below[1]))


def _fault(requirement: str) -> str:
    """Why ``name>=version`` is not fulfilled; empty where it is."""
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    least = re.search(r">=\s*([\d.]+)", requirement)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return f"{name} is {version}, needs {least[1]}" if least and _numbers(version) < _numbers(least[1]) else ""


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    return tuple(parts + [0] * (4 - len(parts)))


def _torch() -> Iterator[Check]:
    """One step of a training, since an installation can be there and not work."""
    try:
        import torch

        layer = torch.nn.Conv2d(1, 2, 3)
        layer(torch.ones(1, 1, 4, 4)).square().sum().backward()
        works = layer.weight.grad is not None and bool(torch.isfinite(layer.weight.grad).all())
    except Exception as error:  # a broken installation fails in any way
        yield Check("bad", "torch", f"does not work ({type(error).__name__}: {error}); install it again")
        return
    yield Check("ok" if works else "bad", "torch", f"{torch.__version__}, trains" if works else "gives no gradients")
    cores, threads = _cores(), torch.get_num_threads()
    crowded = f"; more threads than cores make it slow: set OMP_NUM_THREADS={cores}" if threads > cores else ""
    yield Check("bad" if crowded else "ok", "threads", f"{threads} of torch on {cores} cores{crowded}")


def _cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> Iterator[Check]:
    from steerage.training.precision import native_bfloat16

    if native_bfloat16():
        yield Check("ok", "bfloat16", "this processor multiplies in it: convolutions train in it")
    else:
        yield Check("none", "bfloat16", "this processor does not multiply in it: everything trains in float32")


def _space() -> Iterator[Check]:
    free = shutil.disk_usage(Path.cwd()).free
    writable = os.access(Path.cwd(), os.W_OK)
    where = "" if writable else "; this folder cannot be written to, use --out"
    yield Check("ok" if writable and free >= LEAST_BYTES else "bad", "disk", f"{free / 1e9:.1f} GB free here{where}")
    table = Path("/proc/meminfo")  # other systems do not tell as plainly
    found = re.search(r"MemAvailable:\s+(\d+) kB", table.read_text(encoding="ascii")) if table.is_file() else None
    if found is not None:
        memory = 1024 * int(found[1])
        yield Check("ok" if memory >= LEAST_BYTES else "bad", "memory", f"{memory / 1e9:.1f} GB free")


def _compilers() -> Iterator[Check]:
    from steerage.errors import MissingTool
    from steerage.export.c.toolchain import TARGETS, needed

    for subject, name in (("C compiler", "host"), ("Cortex-M", "cortex-m4")):
        try:
            found = needed(TARGETS[name])
        except MissingTool as missing:
            yield Check("none", subject, f"export --to c and verify are limited: {missing}")
        else:
            board = "" if TARGETS[name].board is None else " and QEMU: verify runs code on an emulated board"
            yield Check("ok", subject, f"{found}{board}")


def _extras() -> Iterator[Check]:
    for subject, extra, names in OPTIONAL:
        versions = [found.version for name in names for found in metadata.distributions(name=name)]
        if versions:
            yield Check("ok", subject, versions[0])
        else:
            yield Check("none", subject, f"optional, not there: pip install '{DISTRIBUTION}[{extra}]'")
