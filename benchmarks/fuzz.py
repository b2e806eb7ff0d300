"""Damaged and hostile input: how many inputs the readers take without a crash, a hang or a hunger for memory.

    python benchmarks/fuzz.py [bundle table image ...] [--inputs N]

Goes on where it stopped: counts are kept after every thousand inputs, and a part that has had its number is left alone.

Each input is made from valid ones by a seed of its own (its number), and read in this process. A reader may return
what it has read, or raise an error of ``steerage.errors``; anything else that it raises is a crash. An alarm ends what
takes longer than a second of processor time (of this process, since the machine may be busy with others), which is a
hang. The
process may have 2 GB of memory more than it begins with (a MemoryError is a crash); the most that it has had is written
down.

- bundle: ``steerage.bundle.unpacked``, the reader behind ``steerage.load``, on the two files of bundles of five kinds
  (mlp with and without encoding, cnn, mobile, a program of torch.export). Five inputs of eight have their bytes changed
  (flipped, removed, repeated, cut off), and nothing mended; one has its bytes changed and the checksums made right; two
  have the JSON of the description changed as JSON (values replaced by hostile ones, removed, doubled, moved, nested),
  or the header of the safetensors file, and the checksums made right.
- table: ``read_csv``, on small CSV files, plain and gzipped, whose bytes are changed.
- image: ``read_images`` on one encoded image (PNG, JPEG, GIF, BMP, PPM, TIFF) whose bytes are changed; in PNG files the
  checksums of the chunks are made right in one half.
- archive: ``read_npz``, on small archives whose bytes, or whose arrays' headers, are changed.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import hashlib
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import types
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, commit, row, write
from PIL import Image

from steerage.bundle import FromProgram, Network, packed, unpacked
from steerage.bundle.files import DESCRIPTION, WEIGHTS, _checksum
from steerage.cost import count
from steerage.data.archives import read_npz
from steerage.data.imagefiles import read_images
from steerage.data.tablefiles import read_csv
from steerage.errors import SteerageError
from steerage.nn.program import Graph, Held, Program, Step

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from networks import network

PLAN = {"bundle": 1_000_000, "table": 100_000, "image": 100_000, "archive": 100_000}
SECONDS, MEMORY, KEPT_EVERY = 1.0, 2 << 30, 1000
HOSTILE: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 7, 255, 65536, 2**31 - 1, -(2**31), 2**53, 10**12, 2**63, -(2**63), 10**30),
    *(0.5, -0.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *("", "a", "../../x", "/dev/zero", "\x00", "\ud800", "weight", "mlp", "cnn", "float32", "x" * 5000, "9" * 5000),
    *([], {}, [[]], [0], [10**9, 10**9], [[[[[[]]]]]], {"a": {}}, {"value": "x"}, {"tensor": "x"}, {"number": "inf"}),
]

Reader = Callable[[random.Random], None]


class Hang(BaseException):
    """More than a second of processor time for one input."""


def hostile(rng: random.Random) -> Any:
    """A value of its own: what is changed later must not be changed for all inputs that follow."""
    return copy.deepcopy(rng.choice(HOSTILE))


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to eight changes of its bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at, kind = rng.randrange(len(changed) + 1), rng.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            del changed[at : at + rng.choice((1, 4, 64))]
        elif kind == 4:
            length = rng.choice((1, 8, 64))
            changed[at:at] = changed[at : at + length] * rng.choice((1, 2, 50))
        elif kind == 5:
            changed[at:at] = rng.randbytes(rng.choice((1, 4, 16)))
        else:
            changed[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1)))
    return bytes(changed)


def changed_json(node: Any, rng: random.Random) -> Any:
    """``node``, of which one to three places are changed in place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = [*_places(node)]
        if not places:
            return hostile(rng)
        inside, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind < 4:
            inside[key] = hostile(rng)
        elif kind == 4:
            del inside[key]
        elif kind == 5:
            other, at = rng.choice(places)
            if at in (other if isinstance(other, dict) else range(len(other))):
                inside[key] = copy.deepcopy(other[at])
        elif kind == 6 and isinstance(inside[key], (int, float)):
            inside[key] = inside[key] * rng.choice((-1, 2, 10, 1000, 10**6, 0.5))
        elif isinstance(inside, dict):
            inside[str(hostile(rng))] = inside[key]
        else:
            inside.insert(key, hostile(rng))
    return node


def _places(node: Any) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            yield node, key
            yield from _places(value)
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield node, at
            yield from _places(value)


def program_network() -> Network:
    """A network of an exported program: a convolution, what is around it, and a linear layer."""
    base = network("cnn")
    tensors = {
        **{"conv.weight": Held((4, 1, 3, 3)), "conv.bias": Held((4,)), "scale": Held((4, 1, 1))},
        **{"out.weight": Held((3, 64)), "out.bias": Held((3,))},
    }
    conv = {"weight": {"tensor": "conv.weight"}, "bias": {"tensor": "conv.bias"}, "stride": [1, 1], "padding": [1, 1]}
    out = {"weight": {"tensor": "out.weight"}, "bias": {"tensor": "out.bias"}}
    steps = (
        Step(("a",), "conv2d", {"value": "x"}, conv),
        Step(("b",), "mul", {"value": "a"}, {"other": {"tensor": "scale"}}),
        Step(("c",), "slice", {"value": "b"}, {"dim": 2, "start": 0, "end": 9223372036854775807}),
        Step(("d", "e"), "chunk", {"value": "c"}, {"chunks": 2, "dim": 1}, many=True),
        Step(("f",), "cat", [{"value": "e"}, {"value": "d"}], {"dim": 1}),
        Step(("g",), "max_pool2d", {"value": "f"}, {"kernel_size": [2, 2], "stride": [2, 2]}),
        Step(("h",), "flatten", {"value": "g"}, {"start_dim": 1}),
        Step(("y",), "linear", {"value": "h"}, out),
    )
    graph = Graph("x", (1, 8, 8), "y", tensors, steps)
    model = Program(graph)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return replace(base, model=model, architecture=FromProgram(graph), cost=count(model, (1, 8, 8)))


def bundles() -> Reader:
    made = [
        network("mlp", depth=1, width=8),
        network("mlp", depth=2, width=8, bins=4, skips=True),
        network("cnn", channels=4, blocks=1, separable=True),
        network("mobile", stages=1),
        program_network(),
    ]
    whole = [packed(one) for one in made]
    documents = [json.loads(files[DESCRIPTION]) for files in whole]

    def read(rng: random.Random) -> None:
        which = rng.randrange(len(whole))
        files, way = dict(whole[which]), rng.randrange(8)
        if way < 6:
            name = rng.choice((DESCRIPTION, WEIGHTS))
            files[name] = damaged(files[name], rng)
            document = None
            if way == 5:
                try:
                    document = json.loads(files[DESCRIPTION])
                except (ValueError, RecursionError):
                    document = None
        elif rng.randrange(6):
            document = changed_json(copy.deepcopy(documents[which]), rng)
        else:
            document, weights = copy.deepcopy(documents[which]), files[WEIGHTS]
            end = 8 + struct.unpack("<Q", weights[:8])[0]
            header = json.dumps(changed_json(json.loads(weights[8:end]), rng)).encode("utf-8", "surrogatepass")
            files[WEIGHTS] = struct.pack("<Q", len(header)) + header + weights[end:]
        if isinstance(document, dict):
            document["weights_sha256"] = hashlib.sha256(files[WEIGHTS]).hexdigest()
            document["sha256"] = _checksum(document)
        if document is not None:
            files[DESCRIPTION] = json.dumps(document).encode("utf-8", "surrogatepass")
        unpacked(files)

    return read


def tables() -> Reader:
    texts = [
        b"a,b,y\n" + b"".join(b"%d,%d.5,%s\n" % (at, at * at, b"no" if at % 3 else b"yes") for at in range(12)),
        b'name;when;y\n"x;y";2026-01-31;1\n"p\nq";2026-02-01;0\n;;\n',
        "größe\tπ\n1\t2\n3\t?\n".encode(),
    ]
    folder = Path(tempfile.mkdtemp(prefix="steerage-fuzz-"))

    def read(rng: random.Random) -> None:
        text, packed_ = damaged(rng.choice(texts), rng), rng.randrange(4)
        data = text if packed_ else gzip.compress(text, 1)
        path = folder / ("table.csv" if packed_ else "table.csv.gz")
        path.write_bytes(data if packed_ or rng.randrange(2) else damaged(data, rng))
        read_csv(path)

    return read


def images() -> Reader:
    pixels = (np.arange(12 * 10 * 3).reshape(12, 10, 3) * 7 % 256).astype(np.uint8)
    files: list[bytes] = []
    for form in ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF"):
        for image in (Image.fromarray(pixels), Image.fromarray(pixels[..., 0])):
            stream = io.BytesIO()
            image.save(stream, form)
            files.append(stream.getvalue())

    def read(rng: random.Random) -> None:
        data = damaged(rng.choice(files), rng)
        if data.startswith(b"\x89PNG") and rng.randrange(2):
            data = _with_checksums(data)
        read_images([data], ["image"])

    return read


def _with_checksums(data: bytes) -> bytes:
    """A PNG file whose chunks have the checksums that they should have."""
    mended, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunk = data[at + 4 : at + 8 + length]
        mended += data[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + length
    return bytes(mended)


def archives() -> Reader:
    x, y = np.arange(40.0).reshape(10, 4), np.arange(10) % 2
    plain, pressed = io.BytesIO(), io.BytesIO()
    np.savez(plain, x=x, y=y)
    np.savez_compressed(pressed, x=x, y=y)
    folder = Path(tempfile.mkdtemp(prefix="steerage-fuzz-"))
    shapes = ["(10, 4)", "(10,)", "(99999999999, 4)", "(-1, 4)", "(10, 4, 1, 1, 1, 1)", "()", "(2147483647,)", "(0, 4)"]
    types_ = ["<f8", "<i8", "|O", "|S1000000000", "<U2147483647", "<c16", "|V5", "<M8[ns]", ">f8", "[('a', '<f8')]"]

    def read(rng: random.Random) -> None:
        if rng.randrange(2):
            data = damaged(rng.choice((plain, pressed)).getvalue(), rng)
        else:
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
                for name in ("x", "y"):
                    order, kind, shape = rng.choice(("True", "False")), rng.choice(types_), rng.choice(shapes)
                    kind = kind if kind.startswith("[") else repr(kind)
                    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode() + b"\n"
                    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + x.tobytes()
                    file.writestr(f"{rng.choice(('', '../', '/'))}{name}.npy", content)
            data = stream.getvalue()
        path = folder / "arrays.npz"
        path.write_bytes(data)
        read_npz(path)

    return read


PARTS: dict[str, Callable[[], Reader]] = {"bundle": bundles, "table": tables, "image": images, "archive": archives}


def fuzz(part: str, inputs: int) -> None:
    """Read inputs of ``part`` until there were so many."""
    path = RESULTS / "fuzz.rows.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    counts: dict[str, Any] = kept.get(part) or {
        **{"inputs": 0, "read": 0, "refused": 0, "crashes": 0, "hangs": 0, "seconds": 0.0},
        **{"longest_ms": 0.0, "most_mb": 0.0, "examples": [], "commits": []},
    }
    if counts["inputs"] >= inputs:
        return
    read, rng = PARTS[part](), random.Random()
    _warm_up(read)
    before = _now_mb()
    resource.setrlimit(resource.RLIMIT_AS, ((_size() + MEMORY), resource.RLIM_INFINITY))
    signal.signal(signal.SIGVTALRM, _on_alarm)
    counts["commits"] = [*dict.fromkeys([*counts["commits"], commit()])]
    while counts["inputs"] < inputs:
        number = counts["inputs"]
        rng.seed(f"{part} {number}")
        began = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            read(rng)
            counts["read"] += 1
        except SteerageError:
            counts["refused"] += 1
        except Hang:
            counts["hangs"] += 1
            counts["examples"].append([number, "hang"])
        except Exception as error:  # which is what is looked for
            counts["crashes"] += 1
            counts["examples"].append([number, f"{type(error).__name__}: {error}"[:200]])
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        took = time.process_time() - began
        counts["seconds"] += took
        counts["longest_ms"] = max(counts["longest_ms"], 1000.0 * took)
        counts["inputs"] += 1
        if counts["inputs"] % KEPT_EVERY == 0 or counts["inputs"] == inputs:
            counts["most_mb"] = max(counts["most_mb"], _most_mb() - before)
            counts["examples"] = counts["examples"][:50]
            kept = json.loads(path.read_text()) if path.is_file() else {}
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps({**kept, part: counts}, indent=1) + "\n")
            temporary.replace(path)


def _warm_up(read: Reader) -> None:
    """What is imported and compiled by the first inputs is not theirs."""
    for number in range(50):
        try:
            read(random.Random(-number))
        except Exception:
            continue


def _on_alarm(number: int, frame: types.FrameType | None) -> None:
    raise Hang


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _now_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _most_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def results(wanted: Sequence[str]) -> list[dict[str, Any]]:
    kept = json.loads((RESULTS / "fuzz.rows.json").read_text())
    rows = []
    for part in (one for one in PARTS if one in kept and one in wanted):
        counts = kept[part]
        bar = float(PLAN[part])
        rows += [
            row(f"{part}: inputs", [counts["inputs"]], unit="inputs", bar=bar, at_least=True),
            row(f"{part}: crashes", [counts["crashes"]], unit="inputs", bar=0.0),
            row(f"{part}: hangs over 1 s", [counts["hangs"]], unit="inputs", bar=0.0),
            row(f"{part}: read all the same", [counts["read"]], unit="inputs", bar=None),
            row(f"{part}: longest", [counts["longest_ms"]], unit="ms", bar=1000.0),
            row(f"{part}: most memory beyond the start's", [counts["most_mb"]], unit="MB", bar=MEMORY / 1e6),
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--inputs", type=int)
    given = parser.parse_args()
    parts = given.parts or [*PARTS]
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for part in parts:
        fuzz(part, given.inputs or PLAN[part])
    kept = json.loads((RESULTS / "fuzz.rows.json").read_text())
    write(
        "fuzz",
        results([*PARTS]),
        command="python benchmarks/fuzz.py",
        seconds=sum(one["seconds"] for one in kept.values()),
    )


if __name__ == "__main__":
    main()
