"""``.npz`` files: arrays by agreed names, never pickled objects."""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

import numpy as np

from steerage.data.bounds import check_size
from steerage.data.build import raw_from_arrays
from steerage.data.dataset import Kind
from steerage.data.groups import group_texts
from steerage.data.raw import Raw, listed
from steerage.errors import BadData

KINDS: dict[str, Kind] = {"table": "table", "image": "image", "signal": "signal"}


def read_npz(path: Path, *, labelled: bool = True, kind: Kind | None = None) -> Raw:
    """``x_train, y_train[, x_test, y_test]`` or ``x, y``; upper case is as good. 2 axes are a table, 3 or 4 images.

    An array ``kind`` that is the text "signal" says that they are signals; so does the argument. ``groups`` (or
    ``groups_train``, and ``groups_test``), (n,), say which rows belong together. ``labelled=False`` allows the labels
    to be absent. Raises: BadData.
    """
    arrays = _arrays(path)
    names = {name.lower(): name for name in arrays}
    prefix = "_train" if "x_train" in names else ""
    needed = [f"x{prefix}", f"y{prefix}"] if labelled else [f"x{prefix}"]
    if any(name not in names for name in needed) or ("x_test" in names) != ("y_test" in names):
        raise BadData(
            f"{path.name} must have the arrays x_train, y_train (and x_test, y_test together) or x, y; "
            f"it has {listed(arrays) or 'none'}"
        )

    def get(name: str) -> np.ndarray | None:
        return arrays[names[name]] if name in names else None

    test = (get("x_test"), get("y_test")) if prefix else (None, None)
    told = get("kind")
    if kind is None and told is not None:
        if told.ndim != 0 or str(told) not in KINDS:
            raise BadData(
                f"{path.name} must have one of {listed(KINDS)} as its kind, got '{told}'; change it, or leave it out"
            )
        kind = KINDS[str(told)]
    raw = raw_from_arrays(path.stem, get(f"x{prefix}"), get(f"y{prefix}"), *test, kind=kind)
    groups, groups_test = get(f"groups{prefix}"), get("groups_test")
    groups = get("groups") if groups is None else groups
    if groups is not None:
        raw = replace(raw, groups=group_texts(groups, len(raw.x)))
    if groups_test is not None and raw.x_test is not None:
        raw = replace(raw, groups_test=group_texts(groups_test, len(raw.x_test), name="groups_test", least=1))
    return raw


def _check_members(path: Path, wanted: Set[str]) -> None:
    """Raises: BadData for arrays that would unfold to too much, or have fewer numbers than their shapes say.

    Members are read under their names and never unpacked, so that a name leads nowhere.
    """
    if not zipfile.is_zipfile(path):
        return  # what it is instead is told by whoever reads it
    with zipfile.ZipFile(path) as file:
        members = [one for one in file.infolist() if one.filename.removesuffix(".npy").lower() in wanted]
        check_size(path.name, sum(one.file_size for one in members))
        for one in members:
            name = f"{path.name}:{one.filename}"
            if one.flag_bits & 1 or one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadData(f"{name} must be stored or deflated, and not encrypted; save it with np.savez")
            check_size(name, one.file_size, compressed=one.compress_size if one.compress_type else None)
            with file.open(one) as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(stream)
            if not dtype.hasobject and math.prod(shape) * dtype.itemsize > one.file_size:
                raise BadData(f"{name} is damaged: it has fewer numbers than its shape {shape} says")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    wanted = {"x", "y", "x_train", "y_train", "x_test", "y_test", "kind", "groups", "groups_train", "groups_test"}
    if not path.is_file():
        raise BadData(f"{path.name} must be a file; check the path")
    try:
        _check_members(path, wanted)
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise BadData(f"{path.name} must be an archive of named arrays, got one array; save it with np.savez")
            # Other arrays are named in errors but not read: they may be large.
            return {name: file[name] if name.lower() in wanted else np.empty(0) for name in file.files}
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, OSError, pickle.UnpicklingError),
        *(LookupError, TypeError, ValueError, ArithmeticError, SyntaxError, RuntimeError, MemoryError, struct.error),
    ) as error:
        if "pickle" in str(error).lower():
            raise BadData(
                f"{path.name} must hold plain arrays, got pickled objects, which can run code when read; "
                f"save numbers or fixed-width text (dtype float32, int64, str)"
            ) from error
        raise BadData(f"{path.name} cannot be read as npz ({error}); check the file") from error
