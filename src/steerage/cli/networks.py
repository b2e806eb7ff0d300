"""The commands on what is there already: eval, export, report."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steerage.cli import owncode
from steerage.cli.session import Job, Session
from steerage.errors import BadArgument, BadBundle, BadData

if TYPE_CHECKING:
    from torch import Tensor

    from steerage.bundle import Network

FORMATS = ("onnx", "c")


@dataclass(frozen=True)
class OwnCode:
    """Code that the user allows to be executed for a network: ``factory`` file.py:Net, ``template`` file.py:Class."""

    factory: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class COptions:
    """How C code is to be, as typed; ``name``: what its names begin with."""

    name: str | None = None
    prefer: Literal["flash", "speed"] = "flash"
    static: bool = False
    softmax: bool = False
    int8: bool = False
    data: str | None = None


def evaluation(path: Path, data: str, *, part: Literal["test", "all"], code: OwnCode, as_json: bool) -> Job:
    """Error (or R² and RMSE) of a network on the rows of ``data``."""

    def job(session: Session) -> str:
        from steerage.data.load import load_labelled
        from steerage.store import plain

        network = open_network(path, code)
        x, y = load_labelled(
            data,
            preprocess=network.preprocess,
            classes=network.classes,
            target_name=network.target_name,
            task=network.spec.task,
            part=part,
        )
        if y is None:
            raise BadData(f"{data} has no labels to compare with; it needs the column {network.target_name!r}")
        result = {"task": network.spec.task, "part": part, "rows": len(y), **_quality(network, x, y)}
        return json.dumps(plain(result), indent=2) + "\n" if as_json else _in_words(result, data)

    return job


def export(path: Path, *, to: str, out: Path | None, code: OwnCode, c: COptions) -> Job:
    """The network in another format; ``c`` says how C code is to be, ``c.data`` what integers are calibrated on."""
    if to not in FORMATS:
        raise BadArgument(f"--to must be {' or '.join(FORMATS)}, got {to!r}")
    if to != "c" and c != COptions():
        raise BadArgument(f"--name, --prefer, --scratch, --softmax and --int8 are for --to c, not for --to {to}")
    if c.data is not None and not c.int8:
        raise BadArgument("--data is what --int8 finds the ranges of numbers by; add --int8, or leave it out")

    def job(session: Session) -> str:
        network = open_network(path, code)
        return _as_c(network, path, out, c) if to == "c" else _as_onnx(network, path, out)

    return job


def _as_onnx(network: Network, path: Path, out: Path | None) -> str:
    from steerage.export.onnx import export_onnx

    written = export_onnx(network, out if out is not None else _beside(path, ".onnx"))
    return f"{_short(written)}: {written.stat().st_size:,} bytes, agrees with PyTorch\n"


def _as_c(network: Network, path: Path, out: Path | None, c: COptions) -> str:
    from steerage.cli import int8
    from steerage.cost.memory import memory_of
    from steerage.export.c.folder import can_compare, export_c
    from steerage.export.c.generate import Options

    folder = (out if out is not None else _beside(path, "-c")).resolve()
    name = c.name or (folder.name if out is not None else own_name(path))
    whole = int8.calibrated(network, c.data or int8.source_of(path)) if c.int8 else None
    options = Options(c.prefer, c.static, c.softmax)
    generated = export_c(network, folder, name=name, options=options, int8=whole)
    bytes = memory_of(generated.layout)
    checked = "agrees with PyTorch" if whole is None else "each integer is the one that it should be"
    if not can_compare():
        checked = f"not {'compared with PyTorch' if whole is None else 'run'}: there is no C compiler here"
    return (
        f"{_short(folder)}: {', '.join(generated.files)}; {checked}\n"
        f"flash {bytes.flash:,} bytes on a Cortex-M4F: {bytes.tables:,} of tables, and code, estimated; "
        f"RAM {bytes.ram:,} bytes: {bytes.scratch:,} of scratch, and the stack, estimated\n"
        f"{'' if whole is None else int8.in_words(whole, network.spec.task) + chr(10)}"
    )


def _beside(path: Path, ending: str) -> Path:
    """Where an export goes by default: beside the network's folder; where one is, if it is of the zoo."""
    from steerage.bundle.zoo import zoo_name

    folder, name = network_folder(path).resolve(), zoo_name(path)
    return folder.with_name(f"{folder.name}{ending}") if name is None else Path(f"{name}{ending}").resolve()


def own_name(path: Path) -> str:
    """What a network is called by: its run, or its own folder, or the zoo."""
    from steerage.bundle.zoo import zoo_name

    folder = network_folder(path).resolve()
    return zoo_name(path) or (folder.parent.name if folder.name == "network" else folder.name)


def report(run: Path) -> Job:
    """The page of a run, written anew."""

    def job(session: Session) -> str:
        from steerage.report.page import write_report

        return f"{write_report(run)}\n"

    return job


def network_folder(path: Path) -> Path:
    """Folder of the network itself, where ``path`` may be that of its run, or the name of one in the zoo.

    Raises: BadBundle for an unfinished run, or a name that is not in the zoo.
    """
    from steerage.bundle.zoo import resolved

    path = resolved(path)
    if (path / "network.json").is_file() or not (path / "run.json").is_file():
        return path
    if not (path / "network" / "network.json").is_file():
        raise BadBundle(f"{path} has no network yet; give the command of that run again, which goes on with it")
    return path / "network"


def open_network(path: Path, code: OwnCode) -> Network:
    """The network in ``path``, with code of the user's own only where it was named on the command line.

    Raises: BadBundle; BadArgument where an option for such code is missing, or the code fails.
    """
    from steerage.bundle import load_network
    from steerage.templates.registry import load_template

    folder = network_folder(path)
    if not folder.exists():
        raise BadBundle(f"{folder} does not exist; give the folder of a network or of a run")
    made = _architecture(folder)
    if "factory" in made and code.factory is None:
        raise BadArgument(
            f"{folder} was made from {made['factory']}, which is not run unless you ask for it: "
            f"add --factory {made['factory']}"
        )
    if is_of_own_template(path) and code.template is None:
        raise BadArgument(
            f"{folder} was built by the template {made['template']!r}, which is not steerage's own: "
            "add --template file.py:Class"
        )
    if code.template is not None:
        owncode.find_neighbours(code.template)
    return load_network(
        folder,
        factory=None if code.factory is None else owncode.factory_from(code.factory),
        template=None if code.template is None else load_template(code.template),
    )


def is_of_own_template(path: Path) -> bool:
    """Whether the network in ``path`` was built by a template that is not one of steerage's."""
    from steerage.templates import TEMPLATES

    made = _architecture(network_folder(path))
    return "factory" not in made and made.get("template") not in {None, *TEMPLATES}


def _architecture(folder: Path) -> dict[str, Any]:
    """How the bundle says it was built, read leniently: loading it checks everything."""
    from steerage import store

    file = folder / "network.json"
    document = store.read_json(file) if file.is_file() else {}
    made = document.get("architecture") if isinstance(document, dict) else None
    return made if isinstance(made, dict) else {}


def _quality(network: Network, x: Tensor, y: Tensor) -> dict[str, float | None]:
    """Share of wrong rows; or R² (None where the target does not vary) and RMSE in the target's units."""
    scores = network.scores(x)
    if network.spec.task == "classification":
        return {"error": (scores.argmax(dim=1) != y).double().mean().item()}
    values = scores[:, 0].double() * network.target_std + network.target_mean
    squared = (values - y.double()).square().mean().item()
    spread = (y.double() - y.double().mean()).square().mean().item()
    return {"r2": 1.0 - squared / spread if spread > 0 else None, "rmse": math.sqrt(squared)}


def _in_words(result: dict[str, Any], data: str) -> str:
    from steerage.report.text import measure

    names = {"error": "error", "r2": "R²", "rmse": "RMSE"}
    values = ", ".join(f"{names[name]} {measure(name, result[name])}" for name in names if name in result)
    which = "test rows" if result["part"] == "test" else "rows"
    return f"{values} on {result['rows']:,} {which} of {data}\n"


def _short(path: Path) -> Path:
    """``path`` as seen from here, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
