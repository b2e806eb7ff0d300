"""What can be typed: each command turns its options into a job, which is then done outside of the parser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from steerage._version import __version__
from steerage.cli import completion, devices, inspection, networks, runs
from steerage.cli import dashboard as dashboards
from steerage.cli import doctor as installation
from steerage.cli.options import (
    Ahead,
    AsJson,
    Balance,
    Data,
    Depth,
    DeviceName,
    Distill,
    Epochs,
    Factory,
    Fidelity,
    FidelityChoice,
    Front,
    GroupName,
    Int8,
    Jobs,
    KindChoice,
    Like,
    Logs,
    MaxExpansion,
    MaxFlash,
    MaxLatency,
    MaxLoss,
    MaxMacs,
    MaxParams,
    MaxRam,
    MetricName,
    Minutes,
    NetworkPath,
    Out,
    OwnTemplate,
    Pareto,
    Part,
    Patience,
    Prefer,
    PreferChoice,
    Quiet,
    Ray,
    SchemeName,
    Scratch,
    Seed,
    Storage,
    Straighten,
    StudyName,
    Target,
    TaskChoice,
    TemplateName,
    Trials,
    fidelity_name,
    kind_name,
    prefer_name,
    task_name,
)
from steerage.cli.session import Job
from steerage.errors import BadArgument

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


def parse(argv: Sequence[str]) -> Job | None:
    """The job that a command line asks for; None when it was answered here, as --help is. Raises: BadArgument."""
    try:
        answer = app(list(argv), prog_name="steerage", standalone_mode=False)
    except SystemExit as ended:  # which is how the parser has answered a shell that completes
        if ended.code not in (None, 0):
            raise BadArgument("there is no completion for this shell; use bash, zsh, fish or PowerShell") from None
        return None
    except Exception as error:
        # The parser's own error classes have different homes in different versions of typer.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "steerage")
        text = " ".join(message().split()).replace("Value error, ", "").partition(", unable to parse")[0]
        raise BadArgument(f"{text.rstrip('.?')}; see {command} --help") from error
    return answer if callable(answer) else None


def _bounds(
    max_params: str | None, max_macs: str | None, max_flash: str | None, max_ram: str | None
) -> dict[str, str | None]:
    """The budget as it was typed, by name."""
    return {"max_params": max_params, "max_macs": max_macs, "max_flash": max_flash, "max_ram": max_ram}


def _examples(*lines: str) -> str:
    # \b keeps the parser from joining the lines.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"steerage {__version__}")
        raise typer.Exit


@app.callback(
    epilog=_examples(
        "steerage synth digits --max-params 1500 --minutes 2",
        "steerage refine my_model.py:Net data.npz --max-params 50k",
        "steerage eval runs/digits/network digits",
        "steerage synth --help",
    )
)
def steerage(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find a small neural network for a data set by search, then grow and prune it to a budget."""


@app.command(
    epilog=_examples(
        "steerage synth digits --max-params 1500 --minutes 2",
        "steerage synth sensors.csv --target fault --max-params 20k --minutes 30",
        "steerage synth sensors.csv --target fault --max-flash 32k --max-ram 8k --device cortex-m4",
        "steerage synth mnist.npz --device onnxruntime --max-latency-ms 0.05",
        "steerage synth mnist.npz --template cnn --max-macs 1.5M --out runs/mnist",
        "steerage synth cifar.parquet --like resnet20 --epochs 30 --minutes 55",
        "steerage synth faults.csv --balance --metric f1",
        "steerage synth gestures.npz --kind signal --max-params 2k",
        "steerage synth steps.csv --target activity --group person --max-params 2k",
        "steerage synth iris --trials 20 --epochs 60 --seed 1 --json",
    )
)
def synth(
    data: Data,
    target: Target = None,
    task: TaskChoice = None,
    kind: KindChoice = None,
    group: GroupName = None,
    metric: MetricName = None,
    balance: Balance = False,
    straighten: Straighten = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    max_latency_ms: MaxLatency = None,
    device: DeviceName = None,
    int8: Int8 = False,
    max_loss: MaxLoss = None,
    front: Front = False,
    scheme: SchemeName = "auto",
    minutes: Minutes = None,
    trials: Trials = None,
    epochs: Epochs = None,
    patience: Patience = None,
    fidelity: FidelityChoice = Fidelity.auto,
    seed: Seed = 0,
    template: TemplateName = "auto",
    like: Like = None,
    depth: Depth = None,
    max_expansion: MaxExpansion = None,
    distill: Distill = True,
    jobs: Jobs = "auto",
    ahead: Ahead = None,
    ray: Ray = None,
    storage: Storage = None,
    study: StudyName = None,
    out: Out = None,
    log: Logs = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> Job:
    """Search for a network, then grow and prune it to the budget.

    The same command again goes on with a run that was stopped.
    """
    wish = runs.Wish(
        data,
        target,
        task_name(task),
        _bounds(max_params, max_macs, max_flash, max_ram),
        device,
        minutes,
        epochs,
        seed,
        out,
        as_json,
        quiet,
        max_loss,
        front,
        scheme,
        metric,
        balance,
        kind_name(kind),
        max_latency_ms,
        int8,
        group=group,
        logs=tuple(log or ()),
    )
    how_far = fidelity_name(fidelity)
    return runs.synth(
        wish,
        trials=trials,
        patience=patience,
        fidelity=how_far,
        template=template,
        like=like,
        depth=depth,
        max_expansion=max_expansion,
        distill=distill,
        straighten=straighten,
        jobs=jobs,
        ahead=ahead,
        ray=ray,
        storage=storage,
        study=study,
        local=True,
    )


@app.command(
    epilog=_examples(
        "steerage search wine --trials 30 --epochs 40",
        "steerage search sensors.csv --max-params 20k --minutes 10",
        "steerage search digits --pareto params --minutes 20",
    )
)
def search(
    data: Data,
    target: Target = None,
    task: TaskChoice = None,
    kind: KindChoice = None,
    group: GroupName = None,
    metric: MetricName = None,
    balance: Balance = False,
    straighten: Straighten = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    max_latency_ms: MaxLatency = None,
    device: DeviceName = None,
    int8: Int8 = False,
    minutes: Minutes = None,
    trials: Trials = None,
    epochs: Epochs = None,
    patience: Patience = None,
    fidelity: FidelityChoice = Fidelity.auto,
    pareto: Pareto = None,
    seed: Seed = 0,
    template: TemplateName = "auto",
    like: Like = None,
    depth: Depth = None,
    max_expansion: MaxExpansion = None,
    jobs: Jobs = "auto",
    ahead: Ahead = None,
    ray: Ray = None,
    storage: Storage = None,
    study: StudyName = None,
    out: Out = None,
    log: Logs = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> Job:
    """The global search alone; also shows the best candidates.

    With --pareto it is for the front of error and a cost, and delivers a network for each of up to six places on it.
    """
    wish = runs.Wish(
        data,
        target,
        task_name(task),
        _bounds(max_params, max_macs, max_flash, max_ram),
        device,
        minutes,
        epochs,
        seed,
        out,
        as_json,
        quiet,
        metric=metric,
        balanced=balance,
        kind=kind_name(kind),
        max_latency_ms=max_latency_ms,
        int8=int8,
        group=group,
        logs=tuple(log or ()),
    )
    how_far, cost = fidelity_name(fidelity), None if pareto is None else pareto.value
    return runs.synth(
        wish,
        trials=trials,
        patience=patience,
        fidelity=how_far,
        template=template,
        like=like,
        depth=depth,
        max_expansion=max_expansion,
        straighten=straighten,
        jobs=jobs,
        ahead=ahead,
        ray=ray,
        storage=storage,
        study=study,
        local=False,
        pareto=cost,
    )


@app.command(
    epilog=_examples(
        "steerage refine my_model.py:Net data.npz --max-params 50k --minutes 20",
        "steerage refine exported.pt2 data.npz --max-params 50k --minutes 20",
        "steerage refine runs/digits/network digits --max-params 800 --out runs/smaller",
        "steerage refine runs/digits/network digits --max-loss 0.5 --front --out runs/smallest",
    )
)
def refine(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="file.py:Net, a callable that returns a torch module (the file is executed); a network's folder; "
            "or a file of torch.export.save (.pt2), of which nothing is executed.",
        ),
    ],
    data: Data,
    target: Target = None,
    task: TaskChoice = None,
    kind: KindChoice = None,
    group: GroupName = None,
    metric: MetricName = None,
    balance: Balance = False,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    max_latency_ms: MaxLatency = None,
    device: DeviceName = None,
    int8: Int8 = False,
    max_loss: MaxLoss = None,
    front: Front = False,
    scheme: SchemeName = "auto",
    minutes: Minutes = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    factory: Factory = None,
    out: Out = None,
    log: Logs = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> Job:
    """Grow and prune a network that exists already, down to the budget."""
    wish = runs.Wish(
        data,
        target,
        task_name(task),
        _bounds(max_params, max_macs, max_flash, max_ram),
        device,
        minutes,
        epochs,
        seed,
        out,
        as_json,
        quiet,
        max_loss,
        front,
        scheme,
        metric,
        balance,
        kind_name(kind),
        max_latency_ms,
        int8=int8,
        group=group,
        logs=tuple(log or ()),
    )
    return runs.refine(wish, network=network, factory=factory)


@app.command(
    epilog=_examples(
        "steerage eval runs/digits/network digits",
        "steerage eval runs/sensors new_sensors.csv --part all --json",
        "steerage eval runs/own/network data.npz --factory my_model.py:Net",
    )
)
def eval(
    network: NetworkPath,
    data: Data,
    part: Annotated[Part, typer.Option("--part", help="Test rows of DATA, or all its rows.")] = Part.test,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="Besides the error: balanced_error, f1, auroc; mae.",
            autocompletion=completion.metric,
        ),
    ] = None,
    factory: Factory = None,
    template: OwnTemplate = None,
    as_json: AsJson = False,
) -> Job:
    """How good a network is on labelled rows."""
    return networks.evaluation(
        network,
        data,
        part="all" if part is Part.all else "test",
        metric=metric,
        code=networks.OwnCode(factory, template),
        as_json=as_json,
    )


@app.command(
    epilog=_examples(
        "steerage export runs/digits/network --to onnx",
        "steerage export runs/digits --to onnx --out digits.onnx",
        "steerage export runs/digits --to onnx --int8 --data digits",
        "steerage export runs/digits --to c --out firmware/digits",
        "steerage export runs/digits --to c --int8 --data digits.csv",
    )
)
def export(
    network: NetworkPath,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Format to write: onnx, or c for C99.",
            autocompletion=completion.export_format,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="File, or folder for C; by default beside the network's folder."),
    ] = None,
    int8: Int8 = False,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="For --int8: training rows set ranges, test rows compare."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="C: what all names begin with; by default the run's.")
    ] = None,
    prefer: PreferChoice = Prefer.flash,
    scratch: Annotated[
        Scratch, typer.Option("--scratch", help="C: whose memory the code works in, the caller's or its own.")
    ] = Scratch.caller,
    softmax: Annotated[bool, typer.Option("--softmax", help="C: probabilities in place of scores.")] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="C: the board or core that flash, RAM and time are told for."),
    ] = None,
    factory: Factory = None,
    template: OwnTemplate = None,
) -> Job:
    """Write a network in another format, checked against PyTorch."""
    c = networks.COptions(name, prefer_name(prefer), scratch is Scratch.static, softmax, int8, data, device)
    return networks.export(network, to=to, out=out, code=networks.OwnCode(factory, template), c=c)


@app.command(
    epilog=_examples(
        "steerage verify runs/digits digits",
        "steerage verify runs/digits digits --target host",
        "steerage verify runs/digits digits --device onnxruntime --int8",
        "steerage verify runs/digits digits --int8",
        "steerage verify runs/sensors --json",
    )
)
def verify(
    network: NetworkPath,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Its test rows are run; made-up ones where it is not given.")
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "--device",
            metavar="NAME",
            help="cortex-m4, cortex-m3, cortex-m0 (in QEMU), a board, or host; onnxruntime: latency on this machine.",
            autocompletion=completion.target,
        ),
    ] = "cortex-m4",
    part: Annotated[Part, typer.Option("--part", help="Test rows of DATA, or all its rows.")] = Part.test,
    prefer: PreferChoice = Prefer.flash,
    int8: Int8 = False,
    factory: Factory = None,
    template: OwnTemplate = None,
    as_json: AsJson = False,
) -> Job:
    """Compile a network's C code, run it, compare every prediction with PyTorch, and measure flash and RAM.

    With --device onnxruntime: the ONNX form in ONNX Runtime on this machine, and how long a row takes.
    """
    return devices.verification(
        network,
        data,
        target=target,
        part="all" if part is Part.all else "test",
        prefer=prefer_name(prefer),
        int8=int8,
        code=networks.OwnCode(factory, template),
        as_json=as_json,
    )


@app.command(
    epilog=_examples(
        "steerage inspect sensors.csv --target fault",
        "steerage inspect steps.csv --target activity --group person",
        "steerage inspect mnist.npz --json",
    )
)
def inspect(
    data: Data,
    target: Target = None,
    task: TaskChoice = None,
    kind: KindChoice = None,
    group: GroupName = None,
    as_json: AsJson = False,
) -> Job:
    """What DATA holds, what would be done with it, and what to beware of; trains nothing."""
    return inspection.inspection(
        data, target=target, task=task_name(task), kind=kind_name(kind), group=group, as_json=as_json
    )


@app.command(
    epilog=_examples("steerage dashboard runs/digits", "steerage dashboard runs/digits --port 8090 --no-browser")
)
def dashboard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, finished or under way.")],
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="Where it is served; 0 for any that is free.")
    ] = 8080,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
) -> Job:
    """Watch the trials of a run in optuna-dashboard, in a browser, until Ctrl-C."""
    return dashboards.serving(run, port=port, browser=browser)


@app.command(epilog=_examples("steerage doctor"))
def doctor(as_json: AsJson = False) -> Job:
    """Check the installation: torch, threads, bfloat16, compilers for devices, what is optional."""
    return installation.examination(as_json=as_json)


@app.command(epilog=_examples("steerage report runs/digits", "steerage report runs/a runs/b runs/c --out abc.html"))
def report(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, finished or not.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Of several runs: the page, by default comparison.html."),
    ] = None,
) -> Job:
    """Write report.html of a run anew; of several runs, a page that compares them."""
    return networks.report(run, out)
