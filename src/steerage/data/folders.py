"""Sets of files: a folder of images or recordings per class, or a parquet table with an image column."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from steerage.data import signalfiles
from steerage.data.groups import LEAST, group_texts
from steerage.data.imagefiles import SUFFIXES, Shape, bytes_of, read_images
from steerage.data.raw import Raw, listed
from steerage.data.tablefiles import data_name, read_arrow, read_schema
from steerage.errors import BadData

LABEL_COLUMNS = ("label", "labels", "target", "class")


@dataclass(frozen=True)
class _File:
    """A file of a class, and of a group where classes have folders of groups."""

    path: Path
    label: str
    group: str | None = None


@dataclass(frozen=True)
class _Files:
    """Files of one part, in order; all of them in groups, or none."""

    files: list[_File]

    @property
    def paths(self) -> list[Path]:
        return [one.path for one in self.files]

    @property
    def labels(self) -> pd.Series:
        return pd.Series([one.label for one in self.files], dtype=object)

    def groups(self, *, least: int = LEAST) -> np.ndarray | None:
        """Text (n,). Raises: BadData for fewer than ``least`` different ones."""
        names = [one.group for one in self.files]
        return None if None in names else group_texts(names, len(names), name="folders of groups", least=least)


def read_folder(folder: Path, *, shape: Shape | None = None) -> Raw:
    """``folder/CLASS/*.png``, or ``folder/train/CLASS/*`` with ``folder/test/CLASS/*``; CSV files are signals.

    Files may be one folder deeper, ``folder/CLASS/GROUP/*``: those of groups of one name, in any class, belong
    together. Rows come by class name, then by group and file name. Raises: BadData.
    """
    parts = {entry.name.lower(): entry for entry in _subfolders(folder)}
    if "train" in parts and _subfolders(parts["train"]):
        train = _files(parts["train"])
        test = _files(parts["test"]) if "test" in parts and _subfolders(parts["test"]) else None
    else:
        train, test = _files(folder), None
    signals = train.paths[0].suffix.lower() in signalfiles.SUFFIXES
    x = _signals(train, folder) if signals else _read(train, folder, shape)
    raw = Raw(folder.resolve().name, "signal" if signals else "image", x, train.labels, groups=train.groups())
    if test is None:
        return raw
    if signals:
        later = _signals(test, folder)
        if later.shape[1:] != x.shape[1:]:
            raise BadData(
                f"test files of {raw.name} must be like its training files, of shape {x.shape[1:]}; cut them alike"
            )
    else:
        later = _read(test, folder, shape or (x.shape[1], x.shape[2], x.shape[3]))
    return replace(raw, x_test=later, y_test=test.labels, groups_test=test.groups(least=1))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def _files(folder: Path) -> _Files:
    classes = _subfolders(folder)
    direct = [_File(file, entry.name) for entry in classes for file in _usable(entry)]
    deeper = [
        _File(file, entry.name, group.name)
        for entry in classes
        for group in _subfolders(entry)
        for file in _usable(group)
    ]
    files = direct + deeper
    if not files:
        inside = listed(sorted(entry.name for entry in folder.iterdir()), 5, width=24) or "nothing"
        raise BadData(
            f"folder {folder.name} must have one subfolder of images per class, it has {inside}; "
            "sort the images into such, or name another folder"
        )
    files = [one for one in files if one.path.suffix.lower() in SUFFIXES] or files  # tables beside images are notes
    if files[0].group is None and files[-1].group is not None:
        raise BadData(
            f"folder {folder.name} must have all files in its classes, or all in folders of groups in those; "
            f"{_below(folder, files[0].path)} and {_below(folder, files[-1].path)} differ in that, move one of them"
        )
    return _Files(files)


def _usable(folder: Path) -> list[Path]:
    """Images and recordings in ``folder`` itself, by name."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in SUFFIXES | signalfiles.SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]


def _below(folder: Path, file: Path) -> str:
    """Name of ``file`` in messages."""
    return file.relative_to(folder).as_posix()


def _signals(files: _Files, folder: Path) -> np.ndarray:
    return signalfiles.read_windows(files.paths, [_below(folder, file) for file in files.paths])


def _read(files: _Files, folder: Path, shape: Shape | None) -> np.ndarray:
    return read_images(files.paths, [_below(folder, file) for file in files.paths], shape=shape)


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
