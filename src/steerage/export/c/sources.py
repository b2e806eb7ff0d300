"""The functions that generated code is made of: files in ``kernels/``, in the variants that a network needs.

A file is C but for words in capitals, which stand for names, types and sizes. ``EACH`` before a statement repeats it
for each pixel K of a block. A line that ends with ``//? flag`` is there with that flag, one with ``//! flag`` without;
of flags with a | between, with any. ``STORE(a, o)`` is what a sum becomes: itself, or of integers an output.
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
    "relu": "NAME_positive(v)",
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
WIDE_FROM = 4  # pixels of a block, that vectors of them are worth it
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
    flags = kernel.flags | _more_flags(kernel)
    lines = (_kept(line, flags) for line in _lines(kernel.file))
    text = "\n".join(line for line in lines if line is not None)
    if kernel.file == "activate" and "int8" not in kernel.flags:
        text = text.replace("CASES", "\n".join(_case(place, act) for place, act in enumerate(acts, start=1)))
    if kernel.file == "conv_row":
        pools, plus = _pools(kernel), "plus" in kernel.flags
        text = text.replace("USES_LINE", " || ".join(["l->pooling"] * pools + ["c->plus"] * plus))
        text = text.replace("ACTS_FIRST", " || ".join(["l->pooling > 1"] * pools + ["c->plus"] * plus))
        text = text.replace("CASES", "\n".join(_row_case(place, row) for place, row in enumerate(rows)))
    return _each(_worded(_called(text, kernel), kernel), kernel) + "\n"


@cache
def _lines(file: str) -> tuple[str, ...]:
    return tuple((FOLDER / f"{file}.c").read_text(encoding="utf-8").rstrip("\n").split("\n"))


def _kept(line: str, flags: frozenset[str]) -> str | None:
    match = re.fullmatch(r"(.*?) *//([?!]) ([\w|]+)", line)
    if match is None:
        return line
    there = not flags.isdisjoint(match[3].split("|"))
    return match[1] if there == (match[2] == "?") else None


def _more_flags(kernel: Kernel) -> frozenset[str]:
    """Flags that follow from those that a function has: where rows are activated, and bodies for wide registers."""
    whole = "int8" in kernel.flags
    if kernel.file == "conv_row":
        if "act" not in kernel.flags:
            return frozenset()
        last = "act_unless" if "act_first" in kernel.flags and _pools(kernel) else "act_last"
        return frozenset({last, "act_plus"} if "plus" in kernel.flags else {last})
    if kernel.file == "row_index":
        _, block, stride = kernel.variant.split("_")
        wide = stride == "1" and int(block) >= WIDE_FROM
    else:
        wide = kernel.file in ("load", "linear_index") or (
            kernel.file == "pool_row" and "only_average" not in kernel.flags
        )
    return frozenset({"wide"} if wide and not whole else ())


def _pools(kernel: Kernel) -> bool:
    """Whether a function for rows of convolutions pools any."""
    return not kernel.flags.isdisjoint({"pooled", "averaged"})


def _case(place: int, act: Act) -> str:
    formula = ACTIVATIONS[act.kind].format(*map(number, act.numbers))
    body = ("for (int i = 0; i < n; ++i) {", "    const float v = x[i];", f"    y[i] = {formula};", "}", "break;")
    return "\n".join([f"    case {place}: /* {act.kind} */", *(f"        {line}" for line in body)])


def _row_case(place: int, row: Kernel) -> str:
    index = "" if row.file == "row_dense" else ", &i"
    code = ", code" if "int8" in row.flags else ""
    body = (f"w = NAME_{row.name}(l, from, to, b{code}, w{index});", "break;")
    return "\n".join([f"            case {place}:", *(f"                {line}" for line in body)])


def _called(text: str, kernel: Kernel) -> str:
    """``text`` with what is done to a number before it is stored: nothing to floats."""
    whole, wide = "int8" in kernel.flags, kernel.variant.endswith("_wide")
    stored = r"codes ? NAME_scaled(\1, codes[\2]) : \1" if wide else r"NAME_narrow(NAME_scaled(\1, codes[\2]))"
    text = re.sub(r"STORE\(([\w\[\]]+), ([^()]*)\)", stored if whole else r"\1", text)
    text = re.sub(r"STORE\(([\w\[\]]+)\)", r"NAME_narrow(NAME_scaled(\1, code))" if whole else r"\1", text)
    pixel = r"CAST \1 - c->mean[channel]"
    if whole:
        pixel = (
            r"(int8_t)(\1 - 128)"
            if "uint8" in kernel.flags
            else r"NAME_ramp(NAME_bits(\1), c->start, c->factor, c->power)"
        )
    text = re.sub(r"PIXEL\(([^()]*)\)", pixel, text)
    return text


def _worded(text: str, kernel: Kernel) -> str:
    """``text`` with the words that the variant says."""
    whole, wide = "int8" in kernel.flags, kernel.variant.endswith("_wide")
    variant = kernel.variant.removesuffix("_wide").removesuffix("_int8")
    bytes_in = variant.endswith("_bytes") or "uint8" in kernel.flags
    variant = variant.removesuffix("_bytes")
    shifted = kernel.file == "affine" or "shifted" in kernel.flags
    words = {
        "SUFFIX": kernel.variant.removeprefix(re.split("_(?=[a-z])", kernel.variant)[0]),
        "NUMBER": "int8_t" if whole else "float",
        "SUM": "int32_t" if whole else "float",
        "WEIGHT": "int8_t" if whole else "float",
        "OUTPUT": "float" if not whole else "int32_t" if wide else "int8_t",
        "SCORE": "float" if not whole else "int32_t" if wide else "int8_t",
        "FACTOR": "int16_t" if whole and shifted else "float",
        "BASE": "int32_t" if whole and shifted else "float",
        "CODE ": "int code, " if whole else "",
        "INPUT": "uint8_t" if bytes_in else "int8_t" if whole else "float",
        "IMAGE": "uint8_t" if bytes_in else "float",
        "CAST ": "(float)" if bytes_in and not whole else "",
        "KIND": variant.removeprefix("_"),
        "SIGN": SIGNS.get(variant.removeprefix("_"), ""),
    }
    bits, *block = variant.split("_")
    words |= {"BITS": bits, "INDEX": "uint16_t" if bits == "16" else "uint8_t"}
    if kernel.file.startswith("row_"):
        words |= {"BLOCK": block[0], "STRIDE": block[1]}
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _each(text: str, kernel: Kernel) -> str:
    """Statements for each pixel of a block."""
    if not kernel.file.startswith("row_"):
        return text
    _, *block = kernel.variant.split("_")
    text = text.replace("ALL", ", ".join(f"a{pixel}" for pixel in range(int(block[0]))))
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
