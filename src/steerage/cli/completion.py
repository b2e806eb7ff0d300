"""Names that the shell completes: written out, since a Tab must not wait for torch; tests compare them."""

from __future__ import annotations

from collections.abc import Callable

from steerage.metrics import METRICS

DATA = ("breast_cancer", "diabetes", "digits", "iris", "wine")
ZOO = (
    *("zoo:cifar-resnet20", "zoo:digits-1500"),
    *("zoo:mnist-10k", "zoo:mnist-1k", "zoo:mnist-3k", "zoo:mnist-50k", "zoo:mnist-5k"),
)
TEMPLATES = ("auto", "cnn", "mlp", "mobile", "resnet", "signal")
PUBLISHED = (
    *("mobilenetv2", "resnet101", "resnet110", "resnet18", "resnet20"),
    *("resnet32", "resnet34", "resnet44", "resnet50", "resnet56"),
)
SCHEMES = ("A", "B", "C", "auto")
CORES = ("cortex-m0", "cortex-m3", "cortex-m4")
BOARDS = (
    *("arduino-due", "arduino-zero", "blue-pill", "microbit-v2", "nano-33-ble"),
    *("nucleo-f411re", "nucleo-l053r8", "nucleo-l476rg", "pico"),
)
RUNTIMES = ("onnxruntime",)
FORMATS = ("c", "onnx")

Complete = Callable[[str], list[str]]


def one_of(*names: str) -> Complete:
    """What the parser asks for names that begin with what was typed. None is found in a path: the shell then looks."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


data = one_of(*DATA)
network = one_of(*ZOO)
template = one_of(*TEMPLATES)
published = one_of(*PUBLISHED)
scheme = one_of(*SCHEMES)
metric = one_of(*sorted(METRICS))
device = one_of(*CORES, *BOARDS, *RUNTIMES)
target = one_of(*CORES, *BOARDS, "host", *RUNTIMES)
export_format = one_of(*FORMATS)
