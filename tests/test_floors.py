"""A module imports only what stands to its left or below: the order of the house, checked on the source text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "steerage"

# From the ground up; within a floor a name may import the names to its left.
FLOORS = (
    ("_version", "errors", "seeds", "stops", "events", "store", "metrics", "shellwords", "urls"),
    ("space", "data"),
    ("nn", "micro", "templates"),
    ("cost", "training"),
    ("search", "growprune"),
    ("bundle", "export", "report", "analysis", "execute", "listeners"),
    ("synthesis",),
    ("estimator", "cli"),
    ("__init__", "__main__"),
)
STRANGERS = frozenset({"search", "growprune"})  # never import each other, in either direction
HEIGHT = {name: height for height, name in enumerate(name for floor in FLOORS for name in floor)}


def part(path: Path) -> str:
    """Name in ``FLOORS`` that the file at ``path`` belongs to."""
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_parts(text: str, *, package: str) -> set[str]:
    """Parts of steerage that the source ``text`` imports anywhere; ``package`` is the dotted package it stands in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *base.split(".")])
            base = base.rstrip(".")
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "steerage" else [base]
        for name in names:
            root, _, rest = name.partition(".")
            if root == "steerage":
                found.add(rest.split(".")[0] if rest else "__init__")
    return {"__init__" if name == "__version__" else name for name in found}


def violation(importer: str, imported: str) -> str | None:
    """Why ``importer`` may not import ``imported``; None where it may."""
    if importer == imported:
        return None
    if {importer, imported} == STRANGERS:
        return f"{importer} and {imported} never import each other"
    if imported not in HEIGHT:
        return f"{importer} imports {imported}, which has no floor in FLOORS"
    if HEIGHT[imported] > HEIGHT[importer]:
        return f"{importer} imports {imported} from above"
    return None


FILES = sorted(SOURCE.rglob("*.py"))


def test_every_module_has_a_floor() -> None:
    assert sorted({part(path) for path in FILES} - set(HEIGHT)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_imports_only_from_below(path: Path) -> None:
    package = ".".join(["steerage", *path.relative_to(SOURCE).parts[:-1]])
    importer = part(path)
    if importer not in HEIGHT:
        pytest.fail(f"{importer} has no floor in FLOORS")
    imported = imported_parts(path.read_text(encoding="utf-8"), package=package)
    assert [reason for name in sorted(imported) if (reason := violation(importer, name))] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import steerage.bundle", {"bundle"}),
        ("from steerage.search.run import search", {"search"}),
        ("from steerage import space, cost", {"space", "cost"}),
        ("from .. import cost", {"cost"}),
        ("from ..cost.count import count", {"cost"}),
        ("from .features import table", {"search"}),
        ("def f():\n    from steerage.data import load", {"data"}),
        ("import torch\nfrom os import path", set()),
    ],
)
def test_imports_are_seen_in_every_spelling(text: str, expected: set[str]) -> None:
    assert imported_parts(text, package="steerage.search") == expected


def test_the_two_searches_are_kept_apart_in_both_directions() -> None:
    assert violation("search", "growprune") is not None
    assert violation("growprune", "search") is not None
    assert violation("growprune", "training") is None
    assert violation("training", "growprune") is not None
