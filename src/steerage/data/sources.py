"""From what the user names (a data set, a file, a folder) to raw rows."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from steerage.data.archives import read_npz
from steerage.data.build import check_kind
from steerage.data.columns import numbers
from steerage.data.dataset import Kind
from steerage.data.folders import read_folder, read_image_parquet
from steerage.data.groups import group_texts
from steerage.data.imagefiles import Shape, image_column
from steerage.data.raw import Labels, Raw, listed
from steerage.data.remote import read_openml, read_torchvision
from steerage.data.signals import as_signals
from steerage.data.tablefiles import data_name, read_csv, read_parquet, read_schema
from steerage.errors import BadData

SKLEARN = ("digits", "iris", "wine", "breast_cancer", "diabetes")  # that scikit-learn ships
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".npz")


def load_raw(
    source: str,
    *,
    target: str | None = None,
    group: str | None = None,
    labelled: bool = True,
    shape: Shape | None = None,
    kind: Kind | None = None,
) -> Raw:
    """Rows and labels of a source, with its test part where it has one.

    ``target``: column with the labels; None takes the last column of a table, ``label`` beside images.
    ``labelled=False`` allows a table without that column (``y`` is then None). ``shape`` (c, h, w): size that image
    files are brought to. ``kind``: "signal" makes signals of the arrays of an npz file, and of a table's rows, whose
    columns are moments then. ``group``: column that says which rows belong together; it is no input then.
    ``labelled=False`` allows a table without it, too. Raises: BadData, MissingDependency.
    """
    raw = _read(source, target, group, labelled, shape, kind)
    if kind == "signal" and isinstance(raw.x, pd.DataFrame):
        return _series(raw)
    check_kind(raw.name, raw.kind, kind)
    return raw


def _series(raw: Raw) -> Raw:
    """Rows of a table as signals of one channel."""

    def read(x: pd.DataFrame | np.ndarray | None) -> np.ndarray | None:
        if not isinstance(x, pd.DataFrame):
            return None
        if x.shape[1] == 0:
            raise BadData(f"{raw.name} must have columns that are moments of a signal, got none; add them")
        return as_signals(np.stack([numbers(x[name]) for name in x.columns], axis=1))

    signals = read(raw.x)
    assert signals is not None
    return replace(raw, kind="signal", x=signals, x_test=read(raw.x_test))


def _read(
    source: str, target: str | None, group: str | None, labelled: bool, shape: Shape | None, kind: Kind | None
) -> Raw:
    if group is not None and not _has_columns(source):
        raise BadData(
            f"{source} has no columns, and a group ({group!r}) is one of a table; arrays have their groups in an array "
            "'groups' of the npz file, files in folders of groups: CLASS/GROUP/FILE"
        )
    if source in SKLEARN:
        if labelled and target not in (None, "target"):
            raise BadData(f"{source} comes with a target of its own and has no column {target!r}; leave the target out")
        return _with_group(_bundled(source), group, labelled)
    if source.startswith("openml:"):
        return _with_group(read_openml(source.removeprefix("openml:"), target=target), group, labelled)
    if source.startswith("torchvision:"):
        return read_torchvision(source.removeprefix("torchvision:"))
    path = Path(source).expanduser()
    if not source or not path.exists():
        raise _not_found(source, path)
    if path.is_dir():
        pair = _parquet_in(path)
        if pair is None:
            return read_folder(path, shape=shape)
        path = pair
    lower = path.name.lower()
    if lower.endswith((".csv", ".csv.gz")):
        return _with_group(_table(path, read_csv(path), None, target, labelled), group, labelled)
    if lower.endswith(".parquet"):
        return _with_group(_parquet(path, target, labelled, shape), group, labelled)
    if lower.endswith(".npz"):
        return read_npz(path, labelled=labelled, kind=kind)
    raise BadData(f"{path.name} must be a folder of images or end in {listed(SUFFIXES)}; convert it to one of these")


def _has_columns(source: str) -> bool:
    """Whether rows of the source are those of a table."""
    if source in SKLEARN:
        return source != "digits"
    path = Path(source).expanduser()
    folder_of_files = path.is_dir() and _parquet_in(path) is None
    return not (source.startswith("torchvision:") or folder_of_files or path.name.lower().endswith(".npz"))


def _with_group(raw: Raw, group: str | None, labelled: bool) -> Raw:
    """``raw`` with its column ``group`` as the groups of its rows. Raises: BadData where there is no such column."""
    if group is None:
        return raw
    if group == raw.target_name or group in (raw.target_name or "").split(","):
        raise BadData(f"the group must be another column than the target, got {group!r} for both; choose another one")
    if not isinstance(raw.x, pd.DataFrame):
        raise BadData(f"{raw.name} has rows of images, and a group ({group!r}) is a column of a table; leave it out")
    if group not in raw.x.columns:
        if labelled:
            raise BadData(f"{raw.name} has no column {group!r} for groups; it has {listed(raw.x.columns)}")
        return raw
    if raw.x.shape[1] == 1:
        raise BadData(f"{raw.name} must have a column besides its target and its group ({group!r}); add one")
    groups = group_texts(raw.x[group], len(raw.x), name=f"group column {group!r}")
    test = raw.x_test
    if not isinstance(test, pd.DataFrame):
        return replace(raw, x=raw.x.drop(columns=group), groups=groups, group_name=group)
    later = None
    if group in test.columns:
        later = group_texts(test[group], len(test), name=f"group column {group!r} of the test part", least=1)
    left = test.drop(columns=group, errors="ignore")
    return replace(raw, x=raw.x.drop(columns=group), x_test=left, groups=groups, groups_test=later, group_name=group)


def _bundled(name: str) -> Raw:
    from sklearn import datasets  # a third of the time that a program takes to begin

    bunch = getattr(datasets, f"load_{name}")()
    names = tuple(str(value) for value in getattr(bunch, "target_names", ()))
    labels = pd.Series(getattr(bunch, "target"), name="target")  # noqa: B009  (a Bunch has no declared attributes)
    data = np.asarray(getattr(bunch, "data"))  # noqa: B009
    if name == "digits":
        return Raw(name, "image", data.reshape(-1, 1, 8, 8).astype(np.uint8), labels, class_names=names)
    columns = [str(column) for column in getattr(bunch, "feature_names")]  # noqa: B009
    frame = pd.DataFrame(data, columns=columns)
    return Raw(name, "table", frame, labels, class_names=names, target_name="target")


def _not_found(source: str, path: Path) -> BadData:
    known = [*SKLEARN]
    if path.parent.is_dir():
        known += [str(path.parent / entry.name) for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    close = difflib.get_close_matches(str(path), known, n=3, cutoff=0.7)
    hint = f"did you mean {' or '.join(close)}?" if close else f"data sets that need no file: {listed(SKLEARN)}"
    return BadData(f"there is no file or data set {source!r}; {hint}")


def _parquet_in(folder: Path) -> Path | None:
    """The training file of a folder that holds parquet files and nothing else to learn from."""
    files = sorted(folder.glob("*.parquet"))
    training = [file for file in files if test_sibling(file) is not None]
    if len(training) > 1 or (len(files) > 1 and not training):
        raise BadData(f"{folder.name} must hold one parquet data set, got {listed(f.name for f in files)}; name a file")
    return next(iter(training or files), None)


def test_sibling(path: Path) -> Path | None:
    """``X_test.parquet`` beside ``X_train.parquet``, or None."""
    stem = path.stem
    if stem != "train" and not stem.endswith(("_train", "-train")):
        return None
    sibling = path.with_name(stem.removesuffix("train") + "test" + path.suffix)
    return sibling if sibling.is_file() else None


def _parquet(path: Path, target: str | None, labelled: bool, shape: Shape | None) -> Raw:
    sibling = test_sibling(path)
    column = image_column(read_schema(path))
    if column is not None:
        return read_image_parquet(path, sibling, column, target=target, labelled=labelled, shape=shape)
    return _table(path, read_parquet(path), None if sibling is None else read_parquet(sibling), target, labelled)


def _table(path: Path, frame: pd.DataFrame, test: pd.DataFrame | None, target: str | None, labelled: bool) -> Raw:
    name = data_name(path, paired=test is not None)
    if frame.shape[0] == 0:
        raise BadData(f"{path.name} must have rows, but it has only column names; add rows")
    if labelled and frame.shape[1] < 2:
        raise BadData(f"{path.name} must have at least two columns, got {listed(frame.columns)}; is the separator odd?")
    columns = _target_columns(frame, str(frame.columns[-1]) if target is None else target)
    wanted = ",".join(columns)
    if absent := [column for column in columns if column not in frame.columns]:
        if labelled:
            raise BadData(f"{path.name} has no column {absent[0]!r}; it has {listed(frame.columns)}")
        return Raw(name, "table", frame, None, test, None, target_name=wanted)
    if labelled and len(columns) == frame.shape[1]:
        raise BadData(f"{path.name} must have a column besides its targets, got {listed(frame.columns)}; name fewer")
    if test is not None and (absent := [column for column in columns if column not in test.columns]):
        raise BadData(f"the test part of {path.name} has no column {absent[0]!r}; it has {listed(test.columns)}")
    # One column is a series, several are a table.
    chosen = columns if len(columns) > 1 else columns[0]
    rows, labels = frame.drop(columns=columns), _trimmed(frame[chosen])
    if test is None:
        return Raw(name, "table", rows, labels, target_name=wanted)
    return Raw(name, "table", rows, labels, test.drop(columns=columns), _trimmed(test[chosen]), target_name=wanted)


def _trimmed(labels: Labels) -> Labels:
    """Texts without the spaces around them, which nobody sees in a file."""
    if isinstance(labels, pd.DataFrame):
        return labels.apply(_trimmed)
    if types.is_numeric_dtype(labels.dtype) or types.is_bool_dtype(labels.dtype):
        return labels
    return labels.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)


def _target_columns(frame: pd.DataFrame, target: str) -> list[str]:
    """The column called ``target``, or those that it names with commas between. Raises: BadData for one named twice."""
    if target in frame.columns or "," not in target:
        return [target]
    columns = [name.strip() for name in target.split(",")]
    if len(set(columns)) < len(columns):
        raise BadData(f"the target must name each column once, got {target!r}; leave out the second")
    return columns
