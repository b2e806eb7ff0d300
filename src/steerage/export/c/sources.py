"""The functions that generated code is made of: files in ``kernels/``, in the variants that a network needs.

A file is C but for words in capitals, which stand for names, types and sizes. ``EACH`` before a statement repeats it
for each pixel K of a block. A line that ends with ``//? flag`` is there with that flag, one with ``//! flag`` without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from steerage.export.c.text import number
from steerage.micro.ir import Act
from steerage.micro.kernels import Kernel

FOLDER = Path(__file__).parent / "kernels"
ACTIVATIONS: Mapping[str, str] = {
    "relu": "v > 0.0f ? v : 0.0f",
    "clip": "v < {0} ? {0} : v > {1} ? {1} : v",
    "leaky_relu": "v > 0.0f ? v : {0} * v",
    "elu": "v > 0.0f ? v : {0} * expm1f(v)",
    "gelu": "0.5f * v * (1.0f + erff(v * 0.707106781f))",
    "gelu_tanh": "0.5f * v * (1.0f + tanhf(0.797884561f * (v + 0.044715f * v * v * v)))",
    "silu": "v / (1.0f + expf(-v))",
    "sigmoid": "1.0f / (1.0f + expf(-v))",
    "tanh": "tanhf(v)",
    "hardsigmoid": "v < -3.0f ? 0.0f : v > 3.0f ? 1.0f : (v + 3.0f) / 6.0f",
    "hardswish": "v < -3.0f ? 0.0f : v > 3.0f ? v : v * (v + 3.0f) / 6.0f",
}
MATHEMATICAL = frozenset({"elu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"})  # activations that need <math.h>
SIGNS = {"add": "+", "subtract": "-", "multiply": "*"}


def needs_math(kernel: Kernel) -> bool:
    """Whether a function calls the mathematical library."""
    return kernel.file in ("logs", "softmax") or (
        kernel.file == "activate" and not MATHEMATICAL.isdisjoint(kernel.flags)
    )


def source(kernel: Kernel, *, acts: tuple[Act, ...] = (), rows: tuple[Kernel, ...] = ()) -> str:
    """Text of a function, with NAME before what it defines and uses.

    ``acts``: activations by their numbers from 1; ``rows``: what computes the rows of convolutions, by their numbers.
    """
    lines = (_kept(line, kernel.flags) for line in _lines(kernel.file))
    text = "\n".join(line for line in lines if line is not None)
    if kernel.file == "activate":
        text = text.replace("CASES", "\n".join(_case(place, act) for place, act in enumerate(acts, start=1)))
    if kernel.file == "conv_row":
        uses = [words for flag, words in (("pooled", "l->pooling"), ("plus", "c->plus")) if flag in kernel.flags]
        text = text.replace("USES_LINE", " || ".join(uses))
        text = text.replace("CASES", "\n".join(_row_case(place, row) for place, row in enumerate(rows)))
    return _each(_worded(text, kernel), kernel) + "\n"


@cache
def _lines(file: str) -> tuple[str, ...]:
    return tuple((FOLDER / f"{file}.c").read_text(encoding="utf-8").rstrip("\n").split("\n"))


def _kept(line: str, flags: frozenset[str]) -> str | None:
    match = re.fullmatch(r"(.*?) *//([?!]) (\w+)", line)
    if match is None:
        return line
    return match[1] if (match[3] in flags) == (match[2] == "?") else None


def _case(place: int, act: Act) -> str:
    formula = ACTIVATIONS[act.kind].format(*map(number, act.numbers))
    body = ("for (int i = 0; i < n; ++i) {", "    const float v = x[i];", f"    y[i] = {formula};", "}", "break;")
    return "\n".join([f"    case {place}: /* {act.kind} */", *(f"        {line}" for line in body)])


def _row_case(place: int, row: Kernel) -> str:
    index = "" if row.file == "row_dense" else ", &i"
    body = (f"w = NAME_{row.name}(l, from, to, b, w{index});", "break;")
    return "\n".join([f"            case {place}:", *(f"                {line}" for line in body)])


def _worded(text: str, kernel: Kernel) -> str:
    """``text`` with the words that the variant says."""
    bytes_in = kernel.variant.endswith("_bytes") or "uint8" in kernel.flags
    variant = kernel.variant.removesuffix("_bytes")
    words = {
        "SUFFIX": "_bytes" if bytes_in else "",
        "INPUT": "uint8_t" if bytes_in else "float",
        "IMAGE": "uint8_t" if bytes_in else "float",
        "CAST ": "(float)" if bytes_in else "",
        "KIND": variant.removeprefix("_"),
        "SIGN": SIGNS.get(variant.removeprefix("_"), ""),
    }
    bits, *block = variant.split("_")
    words |= {"BITS": bits, "INDEX": "uint16_t" if bits == "16" else "uint8_t"}
    if len(block) == 2:
        words |= {"BLOCK": block[0], "STRIDE": block[1]}
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _each(text: str, kernel: Kernel) -> str:
    """Statements for each pixel of a block."""
    _, *block = kernel.variant.split("_")
    if len(block) != 2:
        return text
    lines = []
    for line in text.split("\n"):
        head, mark, statement = line.partition("EACH ")
        if not mark:
            lines.append(line)
            continue
        for pixel in range(int(block[0])):
            each = re.sub(r"\bK\b|(?<=\ba)K", str(pixel), statement)
            lines.append(head + re.sub(rf"\b{pixel} \* {block[1]}\b", str(pixel * int(block[1])), each))
    return "\n".join(lines).replace("at * 1", "at").replace(f"2 * {block[0]}", str(2 * int(block[0])))
