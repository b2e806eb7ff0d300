"""The commands on what is there already: eval, export, report."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from steerage.cli import owncode
from steerage.cli.session import Job, Session
from steerage.errors import BadArgument, BadBundle, BadData
from steerage.metrics import METRICS, Metric, metric_named

if TYPE_CHECKING:
    from torch import Tensor

    from steerage.bundle import Network

FORMATS = ("onnx", "c")
MOST_RUNS = 26  # one letter each


@dataclass(frozen=True)
class OwnCode:
    """Code that the user allows to be executed for a network: ``factory`` file.py:Net, ``template`` file.py:Class."""

    factory: str | None = None
    template: str | None = None


CORE_NAMES = {"cortex-m4": "Cortex-M4F", "cortex-m3": "Cortex-M3", "cortex-m0": "Cortex-M0"}


@dataclass(frozen=True)
class COptions:
    """How C code is to be, as typed; ``name``: what its names begin with, ``device``: what its costs are told for."""

    name: str | None = None
    prefer: Literal["flash", "speed"] = "flash"
    static: bool = False
    softmax: bool = False
    int8: bool = False
    data: str | None = None
    device: str | None = None


def evaluation(
    path: Path, data: str, *, part: Literal["test", "all"], metric: str | None, code: OwnCode, as_json: bool
) -> Job:
    """Error (or R² and RMSE) of a network on the rows of ``data``, and its figure by ``metric``."""

    def job(session: Session) -> str:
        from steerage.store import plain

        network = open_network(path, code)
        asked = metric_named(metric or _own_metric(network), network.spec.task)
        x, y = labelled(network, data, part)
        if y is None:
            raise BadData(f"{data} has no labels to compare with; it needs the column {network.target_name!r}")
        result = {"task": network.spec.task, "part": part, "rows": len(y), **_quality(network, x, y, asked)}
        return json.dumps(plain(result), indent=2) + "\n" if as_json else _in_words(result, data)

    return job


def export(path: Path, *, to: str, out: Path | None, code: OwnCode, c: COptions) -> Job:
    """The network in another format; ``c`` says how C code is to be, ``c.data`` what integers are calibrated on."""
    if to not in FORMATS:
        raise BadArgument(f"there is no format {to!r} to export to; --to takes {' or '.join(FORMATS)}")
    if to != "c" and replace(c, int8=False, data=None) != COptions():
        raise BadArgument(
            f"--name, --prefer, --scratch, --softmax and --device are for --to c, not for --to {to}; leave them out"
        )
    if c.data is not None and not c.int8:
        raise BadArgument("--data is what --int8 finds the ranges of numbers by; add --int8, or leave it out")

    def job(session: Session) -> str:
        network = open_network(path, code)
        if to == "c":
            return _as_c(network, path, out, c)
        if c.int8:
            from steerage.cli.int8 import source_of

            return _as_int8(network, path, out, c.data or source_of(path))
        return _as_onnx(network, path, out)

    return job


def _as_onnx(network: Network, path: Path, out: Path | None) -> str:
    from steerage.export.onnx import export_onnx

    _check_file(out, "network.onnx")
    written = export_onnx(network, out if out is not None else _beside(path, ".onnx"))
    return f"{_short(written)}: {written.stat().st_size:,} bytes, agrees with PyTorch\n"


def _as_int8(network: Network, path: Path, out: Path | None, data: str) -> str:
    from steerage.export.int8 import MAX_DROP, export_int8

    _check_file(out, "network.onnx")
    target = out if out is not None else _beside(path, ".int8.onnx")
    (calibration, _), (rows, labels) = (labelled(network, data, part) for part in ("train", "test"))
    if labels is None or len(rows) == 0:
        raise BadData(f"{data} has no labelled test rows to compare with the float network on; give other --data")
    made = export_int8(network, target, calibration=calibration, rows=rows, labels=labels)
    if made.drop > MAX_DROP:
        warnings.warn(
            f"8-bit integers cost {100 * made.drop:.1f} points, more than {100 * MAX_DROP:.0f}; "
            "the float export is there for that",
            stacklevel=1,
        )
    if network.spec.task == "regression":
        quality = f"R² {1.0 - made.error:.4f}, in float {1.0 - made.float_error:.4f}"
        same = f"R² {made.agreement:.4f} between the two"
    else:
        quality = f"error {100 * made.error:.2f} %, in float {100 * made.float_error:.2f} %"
        same = f"{round(made.agreement * made.rows):,} classes are the same"
    return (
        f"{_short(target.resolve())}: {made.bytes:,} bytes, in float {made.float_bytes:,}\n"
        f"{quality}, on {made.rows:,} test rows of {data}; {same}\n"
    )


def labelled(network: Network, data: str, part: Literal["train", "test", "all"]) -> tuple[Tensor, Tensor | None]:
    """Rows of ``data`` as ``network`` takes them, and their labels, as ``load_labelled`` has them."""
    from steerage.data.load import load_labelled

    return load_labelled(
        data,
        preprocess=network.preprocess,
        classes=network.classes,
        target_name=network.target_name,
        group_name=network.group_name,
        task=network.spec.task,
        part=part,
    )


def _as_c(network: Network, path: Path, out: Path | None, c: COptions) -> str:
    from steerage.cli import int8
    from steerage.cost.device import device
    from steerage.cost.memory import memory_of
    from steerage.export.c.folder import can_compare, export_c
    from steerage.export.c.generate import Options

    if out is not None and out.is_file():
        raise BadArgument(f"{out} is a file; give --out the path of a folder")
    place = device("cortex-m4" if c.device is None else c.device)
    folder = (out if out is not None else _beside(path, "-c")).resolve()
    name = c.name or (folder.name if out is not None else own_name(path))
    whole = int8.calibrated(network, c.data or int8.source_of(path)) if c.int8 else None
    options = Options(c.prefer, c.static, c.softmax)
    generated = export_c(network, folder, name=name, options=options, int8=whole)
    taken = memory_of(generated.layout, core=place.core)
    time = place.milliseconds(taken.instructions)
    fast = "" if time is None else f": about {time:.3g} ms on {place.name} at {place.mhz:g} MHz"
    checked = "agrees with PyTorch" if whole is None else "each integer is the one that it should be"
    if not can_compare():
        checked = f"not {'compared with PyTorch' if whole is None else 'run'}: there is no C compiler here"
    return (
        f"{_short(folder)}: {', '.join(generated.files)}; {checked}\n"
        f"flash {taken.flash:,} bytes on a {CORE_NAMES[place.core]}: {taken.tables:,} of tables, and code, estimated; "
        f"RAM {taken.ram:,} bytes: {taken.scratch:,} of scratch, and the stack, estimated\n"
        f"{taken.instructions:,} instructions for a row, estimated{fast}\n"
        f"{'' if whole is None else int8.in_words(whole, network.spec.task) + chr(10)}"
    )


def _check_file(out: Path | None, name: str) -> None:
    """Raises: BadArgument, before time is spent, if ``out`` is no place for a file such as ``name``."""
    if out is not None and out.is_dir():
        raise BadArgument(f"{out} is a folder; give --out the path of a file, such as {out / name}")
    if out is not None and out.parent.is_file():
        raise BadArgument(f"{out.parent} is a file and no folder; give --out another path")


def _beside(path: Path, ending: str) -> Path:
    """Where an export goes by default: beside the network's folder; where one is, if it is of the zoo."""
    from steerage.bundle.zoo import network_folder, zoo_name

    folder, name = network_folder(path).resolve(), zoo_name(path)
    return folder.with_name(f"{folder.name}{ending}") if name is None else Path(f"{name}{ending}").resolve()


def own_name(path: Path) -> str:
    """What a network is called by: its run, or its own folder, or the zoo."""
    from steerage.bundle.zoo import network_folder, zoo_name

    folder = network_folder(path).resolve()
    return zoo_name(path) or (folder.parent.name if folder.name == "network" else folder.name)


def report(runs: Sequence[Path], out: Path | None) -> Job:
    """The page of a run, written anew; of several, a page that compares them."""
    if len(runs) == 1 and out is not None:
        raise BadArgument("--out is for a page on several runs; that of one is report.html in its folder")
    if len(runs) > MOST_RUNS:
        raise BadArgument(f"a page compares up to {MOST_RUNS} runs, got {len(runs)}; name fewer")

    def job(session: Session) -> str:
        from steerage.report.compare import write_comparison
        from steerage.report.page import write_report

        if len(runs) == 1:
            return f"{write_report(runs[0])}\n"
        _check_file(out, "comparison.html")
        return f"{write_comparison(runs, out or Path('comparison.html'))}\n"

    return job


def open_network(path: Path, code: OwnCode) -> Network:
    """The network in ``path``, with code of the user's own only where it was named on the command line.

    Raises: BadBundle; BadArgument where an option for such code is missing, or the code fails.
    """
    from steerage.bundle import load_network
    from steerage.bundle.zoo import network_folder
    from steerage.templates.registry import load_template

    folder = network_folder(path)
    if not folder.exists():
        raise BadBundle(f"{folder} does not exist; give the folder of a network or of a run")
    made = _architecture(folder)
    if "factory" in made and code.factory is None:
        raise BadArgument(
            f"{folder} was made from {made['factory']}, which is not run unless you ask for it; "
            f"add --factory {made['factory']}"
        )
    if is_of_own_template(path) and code.template is None:
        raise BadArgument(
            f"{folder} was built by the template {made['template']!r}, which is not steerage's own; "
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
    from steerage.bundle.zoo import network_folder
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


def _own_metric(network: Network) -> str | None:
    """The metric that the network was chosen by, where it is not the usual one."""
    return next((name for name in network.error if name in METRICS and name not in ("error", "r2", "rmse")), None)


def _quality(network: Network, x: Tensor, y: Tensor, metric: Metric) -> dict[str, float | None]:
    """Share of wrong rows; or R² (None where the target does not vary) and RMSE in the target's units.

    And the figure of ``metric``.
    """
    from steerage.training.measure import measured

    scores, std = network.scores(x), network.target_std
    if network.spec.task != "regression":
        return {"error": measured("error", scores, y), metric.name: metric.figure(measured(metric.name, scores, y))}
    target = network.standardized(y)
    figures = {
        one.name: one.figure(measured(one.name, scores, target), std)
        for one in (metric, METRICS["r2"], METRICS["rmse"])
    }
    varies = bool((y.double().std(dim=0, correction=0) > 0).all())
    return {**figures, "r2": figures["r2"] if varies else None}


def _in_words(result: dict[str, Any], data: str) -> str:
    from steerage.report.text import measure

    shown = (metric for metric in METRICS.values() if metric.name in result)
    values = ", ".join(f"{metric.title} {measure(metric.name, result[metric.name])}" for metric in shown)
    which = "test rows" if result["part"] == "test" else "rows"
    return f"{values} on {result['rows']:,} {which} of {data}\n"


def _short(path: Path) -> Path:
    """``path`` as seen from here, where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
