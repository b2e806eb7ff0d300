"""The best public tools beside the program: the same network, compiler, flags, emulated board and rows.

emlearn takes feed-forward networks without skips, emx-onnx-cgen what ONNX has. Both get the network as it is delivered,
units that do nothing taken out, the scaling of inputs folded (emlearn) or in the graph; zeros they store. Of their code
only what the linker keeps is counted, of the program's all. emlearn's "inline" form fails on ReLU in the version that
this was made with, so its "loadable" form is taken.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import row

from device_rows.networks import kept, kind, rows_of
from steerage.bundle import Network
from steerage.export.c import verify
from steerage.export.c.generate import layout_of
from steerage.export.c.proof import BOARD
from steerage.export.c.selftest import reference
from steerage.export.c.toolchain import CLOCK, TARGETS, compile_object, execute, library_bytes, link
from steerage.export.graph import onnx_graph
from steerage.micro.ir import Linear

CORE = "cortex-m4"
ROWS = 10
STACK = 1 << 20  # bytes that are painted: emx-onnx-cgen has its maps there
CODE = Path(__file__).with_name("rival_code.py")
BARS = {
    "emlearn": {"flash": 1 / 4, "instructions": 1 / 3},
    "emx-onnx-cgen": {"flash": 1 / 4, "RAM": 1 / 4, "instructions": 1 / 4},
}
TASKED = {"emlearn": "feed-forward", "emx-onnx-cgen": "convolutional"}  # what the bars are for
HEADER = """
#include <stdint.h>
#define NET_INPUTS {inputs}
#define NET_OUTPUTS {outputs}
typedef struct {{ char none; }} net_scratch;
const float *net_scores(const float *x, net_scratch *scratch);
"""
ADAPTERS = {
    "emlearn": """
#include "net.h"
#include "rival.c"
const float *net_scores(const float *x, net_scratch *scratch)
{
    (void)scratch;
    eml_net_infer(&rival, x, NET_INPUTS);
    return rival_buf2;
}
""",
    "emx-onnx-cgen": """
#include "net.h"
#include "rival.c"
const float *net_scores(const float *x, net_scratch *scratch)
{
    static float scores[NET_OUTPUTS];
    (void)scratch;
    rival((const void *)x, (void *)scores);
    return scores;
}
""",
}


def tool(name: str) -> str:
    """The rival on a network."""
    return "emlearn" if name == "digits 90% sparse" else "emx-onnx-cgen"


def measured_of(name: str, runs: Path, python: str) -> dict[str, Any]:
    """Bytes and instructions of both, on the same rows."""
    net, rival = kept(name, runs), tool(name)
    rows = rows_of(name, net, "test")[0][:ROWS]
    done = verify(net, TARGETS[CORE], rows)
    assert done.tables is not None and done.code is not None and done.library is not None and done.stack is not None
    ours = {
        "flash": done.tables + done.code + done.library,
        "RAM": done.scratch + done.stack,
        "instructions": done.instructions,
    }
    with tempfile.TemporaryDirectory() as folder:
        theirs = run(net, rival, rows, Path(folder), python)
    versions = json.loads(subprocess.run([python, CODE, "versions"], check=True, capture_output=True, text=True).stdout)
    return {"tool": rival, "version": versions[rival], "ours": ours, "theirs": theirs, "kind": kind(name)}


def run(net: Network, rival: str, rows: torch.Tensor, folder: Path, python: str) -> dict[str, Any]:
    """What the rival takes of the board."""
    include = write_code(net, rival, folder, python)
    (folder / "net.h").write_text(HEADER.format(inputs=rows[0].numel(), outputs=net.spec.outputs))
    (folder / "net.c").write_text(ADAPTERS[rival])
    harness = (BOARD / "board.c").read_text()
    words = {"STACK_BYTES 16384": f"STACK_BYTES {STACK}", "INPUT row": "float row"}
    for word, value in {**words, "SCORE": "float", "UPPER": "NET", "NAME": "net"}.items():
        harness = harness.replace(word, value)
    (folder / "board.c").write_text(harness)
    (folder / "rows").write_bytes(rows.reshape(len(rows), -1).float().numpy().tobytes())
    target = TARGETS[CORE]
    code = compile_object(target, folder / "net.c", extra=include, strict=False)
    board = compile_object(target, folder / "board.c", extra=("-std=gnu99",), strict=False)
    execute(target, link(target, [board, code], BOARD / "board.ld"))
    kept_by = linked(folder)
    stack, ticks = np.fromfile(folder / "figures", dtype=np.uint32).tolist()
    got = np.fromfile(folder / "scores", dtype=np.float32).reshape(len(rows), -1)
    wanted = reference(net, rows, softmax=False).numpy()
    return {
        "flash": kept_by["text"] + kept_by["rodata"] + kept_by["data"] + library_bytes(folder),
        "RAM": kept_by["data"] + kept_by["bss"] + stack,
        "instructions": ticks * CLOCK,
        "agreement": float((got.argmax(axis=1) == wanted.argmax(axis=1)).mean()),
        "difference": float(np.abs(got - wanted).max()),
    }


def write_code(net: Network, rival: str, folder: Path, python: str) -> tuple[str, ...]:
    """``rival.c``, and the options that it is compiled with."""
    if rival == "emlearn":
        layers = layout_of(net).program.ops
        assert all(isinstance(op, Linear) for op in layers)
        weights: dict[str, Any] = {}
        for at, op in enumerate(layers):
            assert isinstance(op, Linear) and op.weights.bias is not None
            weights |= {f"weights{at}": op.weights.values.numpy().T, f"biases{at}": op.weights.bias.numpy()}
        np.savez(folder / "weights.npz", **weights)
        words = ["emlearn", folder / "weights.npz", "loadable"]
    else:
        (folder / "net.onnx").write_bytes(onnx_graph(net).SerializeToString())
        words = ["emx", folder / "net.onnx"]
    subprocess.run([python, CODE, *words, folder / "rival.c"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return ("-I", (folder / "rival.include").read_text()) if rival == "emlearn" else ()


def linked(folder: Path) -> dict[str, int]:
    """Bytes of ``net.o`` in the last program linked in ``folder``, by kind of section."""
    _, _, sections = (folder / "program.map").read_text().partition("Linker script and memory map")
    found = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    pattern = r"^ \.(text|rodata|data|bss)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) net\.o$"
    for kind_of, size in re.findall(pattern, sections, re.MULTILINE):
        found[kind_of] += int(size, 16)
    return found


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    name, ours, theirs = f"{found['tool']} {found['version']}", found["ours"], found["theirs"]
    rows = [row(f"{name}: predictions that are PyTorch's", [theirs["agreement"]], unit="fraction", bar=None)]
    for what in ("flash", "RAM", "instructions"):
        unit = "instructions" if what == "instructions" else "bytes"
        rows.append(row(f"{name}: {what}", [theirs[what]], unit=unit, bar=None))
        bar = BARS[found["tool"]].get(what) if TASKED[found["tool"]] == found["kind"] else None
        rows.append(row(f"{what}, share of {name}", [ours[what] / theirs[what]], unit="ratio", bar=bar))
    return rows
