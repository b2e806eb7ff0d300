"""Sets of files: a folder of images or recordings per class, or a parquet table with an image column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from steerage.data import signalfiles
from steerage.data.imagefiles import SUFFIXES, Shape, bytes_of, read_images
from steerage.data.raw import Raw, listed
from steerage.data.tablefiles import data_name, read_arrow, read_schema
from steerage.errors import BadData

LABEL_COLUMNS = ("label", "labels", "target", "class")


def read_folder(folder: Path, *, shape: Shape | None = None) -> Raw:
    """``folder/CLASS/*.png``, or ``folder/train/CLASS/*`` with ``folder/test/CLASS/*``; CSV files are signals.

    Rows come by class name, then by file name. Raises: BadData.
    """
    parts = {entry.name.lower(): entry for entry in _subfolders(folder)}
    if "train" in parts and _subfolders(parts["train"]):
        train = _files(parts["train"])
        test = _files(parts["test"]) if "test" in parts and _subfolders(parts["test"]) else None
    else:
        train, test = _files(folder), None
    name = folder.resolve().name
    if train[0].suffix.lower() in signalfiles.SUFFIXES:
        signals = _signals(train, folder)
        if test is None:
            return Raw(name, "signal", signals, _labels(train))
        later = _signals(test, folder)
        if later.shape[1:] != signals.shape[1:]:
            raise BadData(
                f"test files of {name} must be like its training files, of shape {signals.shape[1:]}; cut them alike"
            )
        return Raw(name, "signal", signals, _labels(train), later, _labels(test))
    images = _read(train, folder, shape)
    if test is None:
        return Raw(name, "image", images, _labels(train), target_name=None)
    like = shape or (images.shape[1], images.shape[2], images.shape[3])
    return Raw(name, "image", images, _labels(train), _read(test, folder, like), _labels(test))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def _files(folder: Path) -> list[Path]:
    files = [
        file
        for entry in _subfolders(folder)
        for file in sorted(entry.iterdir())
        if file.suffix.lower() in SUFFIXES | signalfiles.SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not files:
        inside = listed(sorted(entry.name for entry in folder.iterdir()), 5, width=24) or "nothing"
        raise BadData(
            f"folder {folder.name} must have one subfolder of images per class, it has {inside}; "
            "sort the images into such, or name another folder"
        )
    return images or files  # tables beside images are notes on them


def _signals(files: Sequence[Path], folder: Path) -> np.ndarray:
    return signalfiles.read_windows(files, [str(file.relative_to(folder)) for file in files])


def _read(files: Sequence[Path], folder: Path, shape: Shape | None) -> np.ndarray:
    return read_images(list(files), [str(file.relative_to(folder)) for file in files], shape=shape)


def _labels(files: Sequence[Path]) -> pd.Series:
    return pd.Series([file.parent.name for file in files], dtype=object)


def read_image_parquet(
    path: Path,
    test: Path | None,
    column: str,
    *,
    target: str | None = None,
    labelled: bool = True,
    shape: Shape | None = None,
) -> Raw:
    """A parquet table whose ``column`` holds encoded images, with an optional second file as test part."""
    table = read_arrow(path)
    label = _label_column(path, table.schema, target, labelled)
    images = _cells(table, column, shape)
    name = data_name(path, paired=test is not None)
    labels = None if label is None else _column(table, label)
    names = () if label is None else _class_names(table.schema, label)
    if test is None:
        return Raw(name, "image", images, labels, class_names=names, target_name=label)
    missing = {column, label} - {None, *read_schema(test).names}
    if missing:
        lacking = listed(sorted(map(str, missing)))
        raise BadData(f"{test.name} must have the columns of {path.name}, it lacks {lacking}; add or rename them")
    test_table = read_arrow(test)
    test_images = _cells(test_table, column, shape or (images.shape[1], images.shape[2], images.shape[3]))
    test_labels = None if label is None else _column(test_table, label)
    return Raw(name, "image", images, labels, test_images, test_labels, names, label)


def _label_column(path: Path, schema: pa.Schema, target: str | None, labelled: bool) -> str | None:
    names = list(schema.names)
    found = target if target in names else None
    if target is None:
        found = next((name for name in LABEL_COLUMNS if name in names), None)
    if found is None and labelled:
        wanted = target or "label"
        raise BadData(f"{path.name} has no column {wanted!r}; it has {listed(names)}")
    return found


def _cells(table: pa.Table, column: str, shape: Shape | None) -> np.ndarray:
    cells = bytes_of(table.column(column))
    return read_images(cells, [f"row {at} of column {column!r}" for at in range(1, len(cells) + 1)], shape=shape)


def _column(table: pa.Table, name: str) -> pd.Series:
    series: pd.Series = table.select([name]).to_pandas()[name]
    return series.set_axis(pd.RangeIndex(1, len(series) + 1))


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Names that the Hugging Face ``datasets`` library stores beside integer labels, () where it did not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
