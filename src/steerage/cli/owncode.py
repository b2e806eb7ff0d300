"""Networks from the user's own files: ``file.py:Net``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from steerage.errors import BadArgument

if TYPE_CHECKING:
    from torch import nn


def factory_from(reference: str) -> Callable[[], nn.Module]:
    """The callable that ``file.py:Net`` names, called once to see that it gives a module; the file is executed.

    Raises: BadArgument for a reference of another form, a file that is missing or fails, or a callable that needs
    arguments or returns something else.
    """
    from torch import nn

    from steerage.templates.registry import import_file

    file, separator, name = reference.rpartition(":")
    if not separator or not name or not file.endswith(".py"):
        raise BadArgument(
            f"a network of one's own is named as file.py:Net, got {reference!r}; add what the file defines"
        )
    find_neighbours(reference)
    found = getattr(import_file(Path(file)), name, None)
    if found is None or not callable(found) or isinstance(found, nn.Module):
        raise BadArgument(
            f"{file} must define {name}, a class or function that returns a torch.nn.Module; check the name"
        )
    try:
        model = found()
    except Exception as error:
        raise BadArgument(
            f"{reference}() fails with {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    if not isinstance(model, nn.Module):
        raise BadArgument(f"{reference} must return a torch.nn.Module, got {type(model).__name__}; let it return one")
    factory: Callable[[], nn.Module] = found
    return factory


def find_neighbours(reference: str) -> None:
    """Let the file in ``file.py:Name`` import the files beside it, as it could if Python had been started with it."""
    file, separator, _ = reference.rpartition(":")
    folder = str(Path(file).resolve().parent)
    if separator and file.endswith(".py") and folder not in sys.path:
        sys.path.append(folder)  # last, so that nothing that is installed is hidden
