"""Templates by name, by task, and from a user's file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from steerage.data.dataset import TaskSpec
from steerage.errors import BadArgument
from steerage.templates.cnn import Cnn
from steerage.templates.mlp import Mlp
from steerage.templates.mobile import Mobile
from steerage.templates.resnet import ResNet
from steerage.templates.signal import Signal
from steerage.templates.template import Template

USERS = "steerage_user_"  # what the names of modules from users' files begin with

# Of those that accept a task, the first is the one that suits it best.
TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {template.name: template for template in (Signal(), Cnn(), Mlp(), ResNet(), Mobile())}
)


def template_for(spec: TaskSpec) -> Template:
    """The template that suits ``spec`` best: cnn for images, signal for signals, mlp for tables."""
    return next(template for template in TEMPLATES.values() if template.accepts(spec))


def load_template(name: str) -> Template:
    """Template called ``name``, or an instance of the class that ``file.py:Class`` names; the file is executed.

    Raises: BadArgument for an unknown name, a file that is missing or fails, or a class that is no template.
    """
    if name in TEMPLATES:
        return TEMPLATES[name]
    file, separator, class_name = name.rpartition(":")
    if not separator or not file.endswith(".py"):
        raise BadArgument(f"there is no template {name!r}; choose one of {', '.join(TEMPLATES)}, or file.py:Class")
    found = getattr(import_file(Path(file)), class_name, None)
    if not inspect.isclass(found) or not issubclass(found, Template):
        raise BadArgument(
            f"{file} must define a class {class_name} that extends steerage.templates.Template; see docs/templates.md"
        )
    if inspect.isabstract(found) or not isinstance(getattr(found, "name", None), str):
        raise BadArgument(f"{class_name} in {file} must define name, space, build and baseline; see docs/templates.md")
    return found()


def import_file(path: Path) -> object:
    """Module of a file, under a name of its own. Raises: BadArgument if it is missing or fails."""
    if not path.is_file():
        raise BadArgument(f"{path} does not exist; give the path of a Python file")
    # Two files with one stem are two modules, and one file is the same module in every process.
    name = f"{USERS}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look the module up by its name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BadArgument(f"{path} fails with {type(error).__name__}: {error}; mend the file") from error
    return module


def imported_files() -> list[Path]:
    """The users' files whose modules this process has; one that imports them too can unpickle what they define."""
    files = (getattr(module, "__file__", None) for name, module in [*sys.modules.items()] if name.startswith(USERS))
    return [Path(file).resolve() for file in files if file is not None]
