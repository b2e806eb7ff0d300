"""Measures what each function of generated code takes of the stack: src/steerage/micro/stack_frames.json.

    python benchmarks/stack_frames.py

To be run after a change of the functions in src/steerage/export/c/kernels, with the Arm compiler installed. All
functions are compiled in one file, each beside declarations of what it calls, and the compiler tells their frames.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from code_bytes import ACT_NUMBERS, all_kernels, int8, text_of

from steerage.export.c.sources import ACTIVATIONS
from steerage.export.c.toolchain import TARGETS, compile_object
from steerage.micro import stacksize
from steerage.micro.codesize import CORES, kernel_key
from steerage.micro.ir import Act
from steerage.micro.kernels import Kernel


def rows_of(kernel: Kernel) -> tuple[Kernel, ...]:
    """Functions for rows that a convolution calls: one with an index, where it can have one, beside another."""
    if kernel.file != "conv_row":
        return ()
    whole = "int8" in kernel.flags
    make = int8 if whole else Kernel
    first = make("row_dense", "_4_1")
    return (first, make("row_delta", "_4_1")) if "indexed" in kernel.flags else (first,)


def declared(text: str, number: int, name: str) -> str:
    """``text`` with names of its own, in which all functions but the one called ``name`` are declarations."""
    own = f"k{number}_"
    text = text.replace("net_", own).replace(f"{own}tables", "net_tables").replace("NET_needs", f"NET{number}_needs")
    kept = re.compile(rf"^static NET_KERNEL (?=[^{{;]*?\b{own}{name}\()", re.MULTILINE)
    text = kept.sub("__attribute__((used, noipa)) static ", text)
    bodies = re.compile(r"^static NET_KERNEL ([^{;]*?)\n\{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
    text = bodies.sub(r"\1;\n", text)
    return re.sub(r"^static NET_KERNEL ([^{;]*?);", r"\1;", text, flags=re.MULTILINE)


def frames(core: str) -> dict[str, int]:
    """Bytes of each function, by its key."""
    acts = [Act(kind, ACT_NUMBERS.get(kind, ())) for kind in ACTIVATIONS]
    kernels: list[tuple[Kernel, tuple[Act, ...]]] = [(kernel, ()) for kernel in all_kernels()]
    kernels += [(Kernel("activate", "", frozenset({act.kind})), (act,)) for act in acts]
    parts, keys = [], {}
    for number, (kernel, given) in enumerate(kernels):
        name = kernel.variant.removeprefix("_") if kernel.file == "combine" else kernel.name
        parts.append(declared(text_of(kernel, rows_of(kernel), given), number, name))
        keys[f"k{number}_{name}"] = f"activate:{given[0].kind}" if given else kernel_key(kernel)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.c"
        file.write_text("\n".join(parts))
        compile_object(TARGETS[core], file, extra=("-fstack-usage",), strict=False)
        lines = [line.split("\t") for line in file.with_suffix(".su").read_text().splitlines()]
    found = {where.split(":")[-1]: int(size) for where, size, _ in lines}
    return dict(sorted((key, found[name]) for name, key in keys.items()))


def main() -> None:
    """Write the table."""
    document = {core: frames(core) for core in CORES}
    stacksize.TABLE.write_text(json.dumps(document, indent=1) + "\n")
    print(stacksize.TABLE)


if __name__ == "__main__":
    main()
