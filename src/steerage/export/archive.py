"""The parts of a file that ``torch.export.save`` wrote: its graph as JSON, and its tensors.

``torch.export.load`` unpickles whatever the file holds, and evaluates formulas that it finds in the graph: a file from
someone else could run anything. Here JSON is parsed, raw numbers become tensors, and what was pickled is read with
``weights_only=True`` alone.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from steerage.errors import BadArgument, BadBundle
from steerage.store import parse_json

# ScalarType of torch/_export/serde/schema.py
DTYPES = {
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 12: torch.bool},
    **{6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16},
}


@final
@dataclass(frozen=True, eq=False)
class Archive:
    """``graph`` and ``signature`` as in the file's JSON; ``tensors``: parameters, buffers and constants by name."""

    graph: Mapping[str, Any]
    signature: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_archive(path: str | Path) -> Archive:
    """The parts of the file ``path``, of PyTorch 2.6 or newer.

    Raises: BadBundle for a file that is missing, damaged, no such file, or holds objects besides tensors;
    BadArgument for one with several programs.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return _read(_Records(file, str(path)))
    except FileNotFoundError as error:
        raise BadBundle(f"{path} does not exist; check the path") from error
    except OSError as error:
        raise BadBundle(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise BadBundle(
            f"{path} is damaged, or was not written by torch.export.save ({error}); export it again"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise BadBundle(f"{path} is damaged: {type(error).__name__}: {error}; export it again") from error


class _Records:
    """What a zip file holds, without the folder around it that PyTorch adds."""

    def __init__(self, file: zipfile.ZipFile, where: str) -> None:
        self.file, self.where = file, where
        names = file.namelist()
        marks = [name for name in names if name.rpartition("/")[2] == "archive_format"]
        self.root = marks[0].removesuffix("archive_format") if marks else ""
        self.names = [name.removeprefix(self.root) for name in names]

    def read(self, name: str) -> bytes:
        info = self.file.getinfo(f"{self.root}{name}")
        if info.compress_type != zipfile.ZIP_STORED:  # torch never does; a small file could unfold into a huge one
            raise BadBundle(f"{self.where} was not written by torch.export.save: {name} is compressed")
        return self.file.read(info)

    def json(self, name: str) -> Any:
        return parse_json(self.read(name), name=f"{self.where}:{name}")


def _read(records: _Records) -> Archive:
    models = [name for name in records.names if name.startswith("models/") and name.endswith(".json")]
    old = "serialized_exported_program.json"  # up to PyTorch 2.7
    if len(models) > 1:
        raise BadArgument(f"{records.where} holds {len(models)} programs; save the one that is wanted by itself")
    if not models and old not in records.names:
        raise BadBundle(
            f"{records.where} was not written by torch.export.save; "
            "give such a file, file.py:Net, or a network's folder"
        )
    if "byteorder" in records.names and records.read("byteorder") != b"little":
        raise BadBundle(f"{records.where} was written by a machine of another byte order; export it on this one")
    if models:
        model = models[0].removeprefix("models/").removesuffix(".json")
        parts = [("data/weights/", f"{model}_weights_config"), ("data/constants/", f"{model}_constants_config")]
        tensors: dict[str, Tensor] = {}
        for folder, config in parts:
            pickled = f"{folder}{model}.pt"  # PyTorch 2.8
            tensors |= _state(records, pickled) if pickled in records.names else _payloads(records, folder, config)
    else:
        tensors = {**_state(records, "serialized_state_dict.pt"), **_state(records, "serialized_constants.pt")}
    module = records.json(models[0] if models else old)["graph_module"]
    return Archive(module["graph"], module["signature"], tensors)


def _payloads(records: _Records, folder: str, config: str) -> dict[str, Tensor]:
    """Tensors, each in a record of plain numbers, or pickled where it is of an unusual kind."""
    found = {}
    for name, payload in records.json(f"{folder}{config}.json")["config"].items():
        record, meta = f"{folder}{payload['path_name']}", payload["tensor_meta"]
        if payload["use_pickle"] or meta is None:
            found.update(_tensors(records, record, {name: _unpickled(records, record)}))
            continue
        if meta["dtype"] not in DTYPES:
            raise BadBundle(f"{records.where}: {name} has numbers of a type that is not supported")
        data, dtype = bytearray(records.read(record)), DTYPES[meta["dtype"]]
        sizes, strides = ([int(one["as_int"]) for one in meta[which]] for which in ("sizes", "strides"))
        if math.prod(sizes) * dtype.itemsize > len(data):  # strides of zero could ask for any amount of memory
            raise BadBundle(f"{records.where} is damaged: {name} has fewer numbers than its shape says")
        flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        found[name] = flat.as_strided(sizes, strides, int(meta["storage_offset"]["as_int"])).clone()
    return found


def _state(records: _Records, name: str) -> dict[str, Tensor]:
    return _tensors(records, name, _unpickled(records, name) if records.read(name) else {})


def _unpickled(records: _Records, name: str) -> Any:
    try:
        return torch.load(io.BytesIO(records.read(name)), weights_only=True, map_location="cpu")
    except BadBundle:
        raise
    except Exception as error:  # the safe reader, too, raises whatever it stumbles over
        raise BadBundle(
            f"{records.where}: {name} is damaged or holds objects besides tensors, and those are never unpickled"
        ) from error


def _tensors(records: _Records, name: str, found: Any) -> dict[str, Tensor]:
    if not isinstance(found, dict) or not all(type(one) in (Tensor, torch.nn.Parameter) for one in found.values()):
        raise BadBundle(f"{records.where}: {name} holds something else than tensors")
    return {str(key): tensor.detach() for key, tensor in found.items()}
