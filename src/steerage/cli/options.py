"""The options that several commands share, and how they are explained."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from steerage.cli import completion


class Task(str, Enum):
    """What kind of thing is predicted."""

    classification = "classification"
    regression = "regression"
    multilabel = "multilabel"


def task_name(task: Task | None) -> Literal["classification", "regression", "multilabel"] | None:
    """``task`` as the rest of the program has it."""
    names: dict[Task, Literal["classification", "regression", "multilabel"]] = {
        Task.classification: "classification",
        Task.regression: "regression",
        Task.multilabel: "multilabel",
    }
    return None if task is None else names[task]


class Kind(str, Enum):
    """What kind of data rows are."""

    table = "table"
    image = "image"
    signal = "signal"


def kind_name(kind: Kind | None) -> Literal["table", "image", "signal"] | None:
    """``kind`` as the rest of the program has it."""
    names: dict[Kind, Literal["table", "image", "signal"]] = {
        Kind.table: "table",
        Kind.image: "image",
        Kind.signal: "signal",
    }
    return None if kind is None else names[kind]


class Fidelity(str, Enum):
    """How far trials are trained."""

    auto = "auto"
    full = "full"


def fidelity_name(fidelity: Fidelity) -> Literal["auto", "full"]:
    """``fidelity`` as the rest of the program has it."""
    return "full" if fidelity is Fidelity.full else "auto"


class CostName(str, Enum):
    """What a network costs."""

    params = "params"
    macs = "macs"


class Part(str, Enum):
    """Which rows of a source."""

    test = "test"
    all = "all"


class Prefer(str, Enum):
    """What the weights of C code are stored for."""

    flash = "flash"
    speed = "speed"


def prefer_name(prefer: Prefer) -> Literal["flash", "speed"]:
    """``prefer`` as the rest of the program has it."""
    return "speed" if prefer is Prefer.speed else "flash"


class Scratch(str, Enum):
    """Whose memory C code works in."""

    caller = "caller"
    static = "static"


Data = Annotated[
    str,
    Argument(
        metavar="DATA",
        help="A file, a folder, or a name such as digits; see docs/data.md.",
        autocompletion=completion.data,
    ),
]
NetworkPath = Annotated[
    Path,
    Argument(
        metavar="NETWORK",
        help="Folder of a network or of its run (runs/x/network, runs/x), or zoo:NAME.",
        autocompletion=completion.network,
    ),
]
Target = Annotated[
    str | None,
    Option("--target", metavar="COL", help="Column to predict, by default the last; several: a,b,c."),
]
TaskChoice = Annotated[Task | None, Option("--task", help="By default told from the target's values.")]
KindChoice = Annotated[
    Kind | None, Option("--kind", help="signal: rows are signals over time, channels x length; see docs/data.md.")
]
GroupName = Annotated[
    str | None,
    Option(
        "--group",
        metavar="COL",
        help="Column of what rows belong to (a person, a recording): no group is in two parts.",
    ),
]
MetricName = Annotated[
    str | None,
    Option(
        "--metric",
        metavar="NAME",
        help="What networks are compared by: error, balanced_error, f1, auroc; of numbers r2, rmse, mae.",
        autocompletion=completion.metric,
    ),
]
Balance = Annotated[
    bool, Option("--balance", help="All classes weigh the same in training; the metric is then balanced_error.")
]
Straighten = Annotated[
    bool | None,
    Option(
        "--straighten/--no-straighten",
        help="Put drawn images upright first; by default where their nearest neighbours gain by it.",
    ),
]
MaxParams = Annotated[
    str | None, Option("--max-params", metavar="N", help="Most parameters that are not zero: 1500, 20k, 1.5M.")
]
MaxMacs = Annotated[
    str | None, Option("--max-macs", metavar="N", help="Most multiply-accumulates per prediction: 20k, 1.5M.")
]
MaxFlash = Annotated[
    str | None, Option("--max-flash", metavar="N", help="Most bytes of flash that the C code takes: 20k, 32Ki.")
]
MaxRam = Annotated[
    str | None, Option("--max-ram", metavar="N", help="Most bytes of RAM that the C code takes: 8k, 8Ki.")
]
MaxLatency = Annotated[
    float | None,
    Option(
        "--max-latency-ms",
        metavar="X",
        help="Most milliseconds for a row: at the median with --device onnxruntime, as estimated with a board's clock.",
    ),
]
DeviceName = Annotated[
    str | None,
    Option(
        "--device",
        metavar="NAME",
        help="The board or core it is for, whose flash and RAM it fits, or onnxruntime: see docs/devices.md.",
        autocompletion=completion.device,
    ),
]
Minutes = Annotated[
    float | None,
    Option("--minutes", metavar="M", help="Time for the whole run (10 by default); with --epochs, for this call."),
]
Trials = Annotated[int | None, Option("--trials", metavar="N", help="Most candidates of the global search.")]
Epochs = Annotated[
    int | None,
    Option(
        "--epochs",
        metavar="N",
        help="Epochs of the final training, on every machine alike, in place of a time for the whole run.",
    ),
]
Patience = Annotated[
    int | None,
    Option(
        "--patience", metavar="N", min=1, help="End the search after N rounds that promise next to nothing; else never."
    ),
]
FidelityChoice = Annotated[
    Fidelity,
    Option("--fidelity", help="auto: trials that are behind rest, once a part of a training tells; full: never."),
]
Pareto = Annotated[
    CostName | None,
    Option("--pareto", help="Networks for the front of error and this cost, in place of one; see docs/search.md."),
]
MaxLoss = Annotated[
    float | None,
    Option(
        "--max-loss",
        metavar="POINTS",
        help="The smallest network that costs at most so many percentage points of error.",
    ),
]
Like = Annotated[
    str | None,
    Option(
        "--like",
        metavar="NAME",
        help="A published network (resnet20) to beat: the baseline, with its cost as the budget.",
        autocompletion=completion.published,
    ),
]
Depth = Annotated[
    int | None, Option("--depth", metavar="N", min=1, help="Layers that every candidate is to have, as papers count.")
]
MaxExpansion = Annotated[
    float | None,
    Option(
        "--max-expansion",
        metavar="N",
        help="Times as dense as the budget that a candidate may be in training (25).",
    ),
]
Distill = Annotated[
    bool,
    Option(
        "--distill/--no-distill",
        help="Learn from better models too: for a table, or images and few parameters; see docs/distillation.md.",
    ),
]
Front = Annotated[bool, Option("--front", help="Keep the networks of all sizes that nobody beats, in front/.")]
SchemeName = Annotated[
    str,
    Option(
        "--scheme",
        metavar="NAME",
        help="How it grows and prunes: auto, A, B or C; see docs/grow-and-prune.md.",
        autocompletion=completion.scheme,
    ),
]
Jobs = Annotated[
    str,
    Option(
        "--jobs",
        metavar="N",
        help="Candidates that are trained at a time, each by a process; auto: as suits machine and minutes.",
    ),
]
Ahead = Annotated[
    int | None,
    Option("--ahead", metavar="N", min=1, help="Trials that are under way at a time; by default as many as jobs."),
]
Ray = Annotated[
    str | None,
    Option("--ray", metavar="ADDRESS", help="Train on a Ray cluster, auto for the one that this machine belongs to."),
]
Storage = Annotated[
    str | None,
    Option(
        "--storage",
        metavar="URL",
        help="Share the trials with other runs in a database, postgresql://user@host/db; see docs/scaling.md.",
    ),
]
StudyName = Annotated[
    str | None, Option("--study", metavar="NAME", help="The study in --storage, by default named after the data.")
]
Seed = Annotated[int, Option("--seed", metavar="N", help="All randomness comes from this number.")]
TemplateName = Annotated[
    str,
    Option(
        "--template",
        metavar="NAME",
        help="auto, mlp, cnn, resnet, mobile, signal, or file.py:Class (executed).",
        autocompletion=completion.template,
    ),
]
Out = Annotated[
    Path | None, Option("--out", metavar="DIR", help="Folder of the run, by default runs/NAME; a run in it goes on.")
]
Logs = Annotated[
    list[str] | None,
    Option(
        "--log",
        metavar="KIND:WHERE",
        help="Also write what happens to tensorboard:FOLDER or mlflow:URI; may be given several times.",
    ),
]
PreferChoice = Annotated[
    Prefer, Option("--prefer", help="C: store each layer as small, or for as few instructions, as can be.")
]
Int8 = Annotated[bool, Option("--int8", help="8-bit integers in place of floats; see docs/devices.md.")]
AsJson = Annotated[bool, Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="Show no progress.")]
Factory = Annotated[
    str | None,
    Option("--factory", metavar="FILE.py:NET", help="For a network that was made from such a file: execute it again."),
]
OwnTemplate = Annotated[
    str | None,
    Option("--template", metavar="FILE.py:CLASS", help="For a network of a template of one's own: execute its file."),
]
