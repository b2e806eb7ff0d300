"""Rows and labels -> ``Dataset``: missing labels dropped, test part set aside, preprocessing fitted on the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from steerage.data.augment import Augment, augment_for
from steerage.data.dataset import Dataset, Kind, Preprocess, Scale, Task, TaskSpec, fingerprint
from steerage.data.groups import LEAST, group_texts, held_groups
from steerage.data.images import as_images, fit_images
from steerage.data.raw import Labels, Raw, as_array, listed, notice, together
from steerage.data.signals import MODEST, SignalAugment, as_signals, fit_signals
from steerage.data.tablefit import fit_table
from steerage.data.target import Target, known_labels, read_target, sorted_labels
from steerage.data.weights import appearances, merged, weighted
from steerage.errors import BadData

MIN_ROWS = 10
TEST_SHARE = 0.2


def dataset_from_arrays(
    x: Any,
    y: Any,
    *,
    weights: Any = None,
    groups: Any = None,
    x_test: Any = None,
    y_test: Any = None,
    task: Task | None = None,
    kind: Kind | None = None,
    name: str = "arrays",
    hold_out: bool = True,
) -> Dataset:
    """A data set from memory.

    x: DataFrame or array ``(n, columns)``, or images ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)``, uint8 or float;
    with ``kind="signal"`` signals ``(n, channels, length)``, ``(n, length, channels)`` (the shorter axis is the
    channels) or ``(n, length)``.
    y: ``(n,)`` numbers or text; ``(n, targets)`` numbers, or 0 and 1. Without a test part, 20 % of the rows become one
    (``hold_out=False``: no test part).
    ``weights``: ``(n,)``, how much each row counts, 0 for not at all. With them equal training rows become one of the
    sum of their weights, and training rows have an order of their own, so that a weight of 3 is the same as three rows.
    ``groups``: ``(n,)`` numbers or text, rows that belong together (windows of one recording): none is in two parts.
    Raises: BadData.
    """
    if (x_test is None) != (y_test is None):
        raise BadData("x_test and y_test must be given together, got only one of them; give both")
    raw = raw_from_arrays(name, x, y, x_test, y_test, kind=kind)
    if weights is not None:
        raw = replace(raw, weights=_row_weights(weights, x))
    if groups is not None:
        raw = replace(raw, groups=group_texts(groups, len(x)))
    return build_dataset(raw, task=task, hold_out=hold_out)


def _row_weights(weights: Any, x: Any) -> np.ndarray:
    try:
        array = as_array(weights, "weights").astype(np.float64)
    except (ValueError, TypeError) as error:
        raise BadData(f"weights must be numbers, got {as_array(weights, 'weights').dtype}; convert them") from error
    if array.shape != (len(x),):
        raise BadData(f"weights must be one number per row, shape ({len(x)},), got {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        at = int(np.argmin(np.isfinite(array) & (array >= 0)))
        raise BadData(f"weights must be finite and not negative, got {array[at]:g} for row {at}")
    return array


def raw_from_arrays(
    name: str, x: Any, y: Any, x_test: Any = None, y_test: Any = None, *, kind: Kind | None = None
) -> Raw:
    """Arrays as they come -> ``Raw``; whether they are a table or images is told by their axes, unless ``kind`` says.

    Raises: BadData.
    """
    read = as_signals if kind == "signal" else _rows
    rows, labels = read(x), None if y is None else _labels(y, x)
    found: Kind = "table" if isinstance(rows, pd.DataFrame) else "signal" if kind == "signal" else "image"
    check_kind(name, found, kind)
    test = None if x_test is None else read(x_test)
    if test is not None and (isinstance(test, pd.DataFrame) != (found == "table") or test.ndim != rows.ndim):
        raise BadData(f"x_test must have as many axes as x, got {np.shape(x_test)} and {np.shape(x)}; reshape one")
    if found == "signal" and test is not None and test.shape[1:] != rows.shape[1:]:
        raise BadData(
            f"x_test must have the channels and the length of x, got {np.shape(x_test)} and {np.shape(x)}; "
            "cut all signals alike"
        )
    test_labels = None if y_test is None else _labels(y_test, x_test)
    return Raw(name, found, rows, labels, test, test_labels, (), name_of(labels))


def check_kind(name: str, found: Kind, wanted: Kind | None) -> None:
    """Raises: BadData if data of the kind ``found`` is not what was asked for."""
    if wanted not in (None, found):
        raise BadData(f"{name} must be {wanted} data as asked, but it is {found} data; leave the kind out")


def _rows(x: Any) -> pd.DataFrame | np.ndarray:
    if isinstance(x, pd.DataFrame):
        return x
    if hasattr(x, "toarray"):
        raise BadData("x must be a dense array, got a sparse matrix; call its toarray() first")
    array = as_array(x, "x")
    if array.ndim == 2:
        return pd.DataFrame(array, columns=[f"x{at}" for at in range(array.shape[1])])
    if array.ndim in (3, 4):
        return as_images(array)
    raise BadData(f"x must have 2 axes (a table) or 3 or 4 (images), got shape {array.shape}; reshape it")


def name_of(labels: Labels | None) -> str | None:
    """Name of the target, or names of several with commas between; None where it has none."""
    if isinstance(labels, pd.DataFrame):
        return ",".join(map(str, labels.columns))
    return None if labels is None or labels.name is None else str(labels.name)


def _labels(y: Any, x: Any) -> Labels:
    array = y
    if isinstance(array, pd.DataFrame) and array.shape[1] == 1:
        array = array.iloc[:, 0]
    if not isinstance(array, pd.Series | pd.DataFrame):
        array = as_array(array, "y")
        array = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
        if array.ndim not in (1, 2):
            raise BadData(f"y must have shape (n,), or (n, targets) for several, got {array.shape}; reshape it")
        array = pd.Series(array) if array.ndim == 1 else pd.DataFrame(array, columns=_numbered(array.shape[1]))
    if len(array) != len(x):
        raise BadData(f"x and y must have the same number of rows, got {len(x)} and {len(array)}; cut or complete one")
    return array


def _numbered(count: int) -> list[str]:
    return [f"y{at}" for at in range(count)]


def build_dataset(raw: Raw, *, task: Task | None = None, hold_out: bool = True) -> Dataset:
    """Everything from missing labels to the fingerprint. Raises: BadData when there is nothing to learn from."""
    if raw.y is None:
        raise BadData(f"{raw.name} must have labels, got none; name the target column")
    x, y, weights, groups = _usable(raw, raw.y)
    if raw.x_test is not None and raw.y_test is not None:
        x_test, y_test = drop_unlabelled(raw.x_test, raw.y_test)
        target = read_target(together(y, y_test), task=task, class_names=raw.class_names)
        train_rows, test_rows = np.arange(len(y)), np.arange(len(y), len(y) + len(y_test))
        x_train = x
    else:
        target = read_target(y, task=task, class_names=raw.class_names)
        everything = np.arange(len(y))
        train_rows, test_rows = (everything, everything[:0])
        if hold_out:
            train_rows, test_rows = split_rows(y, bool(target.classes), groups)
        x_train, x_test = take(x, train_rows), take(x, test_rows)
    own = None if groups is None else groups[train_rows]
    if weights is None:
        dataset = _assemble(raw, target, _fit(raw, x_train), x_train, x_test, train_rows, test_rows)
        return dataset if own is None else _grouped(dataset, own, raw.group_name)
    kept, totals = merged(x_train, y.iloc[train_rows], weights[train_rows], own)
    x_train, train_rows = take(x_train, kept), train_rows[kept]
    dataset = _assemble(raw, target, _fit(raw, x_train), x_train, x_test, train_rows, test_rows)
    dataset = dataset if own is None else _grouped(dataset, own[kept], raw.group_name)
    return weighted(dataset, totals, weights[test_rows] if raw.x_test is None and len(test_rows) else None)


def _grouped(dataset: Dataset, groups: np.ndarray, name: str | None) -> Dataset:
    """``dataset`` whose training rows belong to ``groups`` (n,). Raises: BadData for too few to choose by."""
    different, codes = np.unique(groups, return_inverse=True)
    if len(different) < LEAST:
        raise BadData(
            f"the training part of {dataset.name} must have at least {LEAST} groups, to train on and to choose by, "
            f"got {listed(different)}; add rows of other groups"
        )
    tensor = torch.from_numpy(codes.reshape(-1).astype(np.int64))
    mark = fingerprint([tensor], dataset.fingerprint)
    return replace(dataset, groups=tensor, group_name=name, fingerprint=mark)


def _usable(raw: Raw, y: Labels) -> tuple[pd.DataFrame | np.ndarray, Labels, np.ndarray | None, np.ndarray | None]:
    """Rows that have a label, and a weight other than zero; their labels, weights and groups.

    Raises: BadData for few.
    """
    if raw.weights is None:
        _check_rows(raw, int(known_labels(y).sum()))  # before it is told how many have none
    x, labels = drop_unlabelled(raw.x, y)
    weights, groups = None, None if raw.groups is None else raw.groups[known_labels(y)]
    if raw.weights is not None:
        weights = raw.weights[known_labels(y)]
        counted = np.flatnonzero(weights)
        x, labels, weights = take(x, counted), labels.iloc[counted], weights[counted]
        groups = None if groups is None else groups[counted]
        _check_rows(raw, appearances(weights), " and a weight that is not zero")
    return x, labels, weights, groups


def _check_rows(raw: Raw, found: int, counting: str = "") -> None:
    if found < MIN_ROWS:
        raise BadData(f"{raw.name} must have at least {MIN_ROWS} rows with a label{counting}, got {found}; add rows")


def drop_unlabelled(x: pd.DataFrame | np.ndarray, y: Labels) -> tuple[pd.DataFrame | np.ndarray, Labels]:
    """Rows that have a label; says how many have none."""
    known = known_labels(y)
    if known.all():
        return x, y
    name = name_of(y)
    where = "" if name is None else f" in {name!r}"
    notice(f"{int((~known).sum())} of {len(y)} rows have no label{where} and are left out")
    rows = np.flatnonzero(known)
    return take(x, rows), y.iloc[rows]


def take(x: pd.DataFrame | np.ndarray, rows: np.ndarray) -> pd.DataFrame | np.ndarray:
    """Rows by position."""
    return x.iloc[rows] if isinstance(x, pd.DataFrame) else x[rows]


def joined(x: pd.DataFrame | np.ndarray, more: pd.DataFrame | np.ndarray | None) -> pd.DataFrame | np.ndarray:
    """Rows of two parts, one after the other."""
    if more is None:
        return x
    if isinstance(x, pd.DataFrame) and isinstance(more, pd.DataFrame):
        return pd.concat([x, more], ignore_index=True)
    return np.concatenate([np.asarray(x), np.asarray(more)])


def split_rows(labels: Labels, classification: bool, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Row positions of the training and the test part, as scikit-learn's ``train_test_split`` gives them.

    ``test_size=0.2, random_state=0``, stratified by label; not stratified for regression, when a class has a single
    row, or when there are more classes than rows in either part. With ``groups`` (n,) the test part is whole groups,
    about as many rows (``held_groups``). Raises: BadData for groups that cannot be parted.
    """
    rows = np.arange(len(labels))
    codes = stratify = None
    if classification and isinstance(labels, pd.Series):
        _, codes = sorted_labels(labels)
    if groups is not None:
        held = held_groups(groups, codes, share=TEST_SHARE, rng=np.random.default_rng(0), least=LEAST)
        return rows[~held], rows[held]
    if codes is not None:
        counts = np.bincount(codes)
        if counts.min() >= 2 and len(counts) <= -(-len(rows) // 5):
            stratify = codes
    from sklearn.model_selection import train_test_split  # a third of the time that a program takes to begin

    train, test = train_test_split(rows, test_size=TEST_SHARE, stratify=stratify, random_state=0)
    return train, test


def _fit(raw: Raw, x: pd.DataFrame | np.ndarray) -> Preprocess:
    if isinstance(x, pd.DataFrame):
        return fit_table(x)
    return fit_signals(x) if raw.kind == "signal" else fit_images(x)


def _assemble(
    raw: Raw,
    target: Target,
    preprocess: Preprocess,
    x_train: pd.DataFrame | np.ndarray,
    x_test: pd.DataFrame | np.ndarray,
    train_rows: np.ndarray,
    test_rows: np.ndarray,
) -> Dataset:
    inputs, inputs_test = preprocess.encode(x_train), preprocess.encode(x_test)
    augment: Augment | SignalAugment = Augment()
    if raw.kind == "table":
        module = preprocess.module()
        inputs, inputs_test = module(inputs), module(inputs_test)
    else:
        augment = MODEST if raw.kind == "signal" else augment_for(inputs)
    labels, mean, std = _numbers(target, train_rows)
    outputs = len(target.classes) or (1 if labels.ndim == 1 else labels.shape[1])
    spec = TaskSpec(target.task, raw.kind, preprocess.output_shape, outputs, len(train_rows))
    tensors = (inputs, labels[train_rows], inputs_test, labels[test_rows])
    mark = fingerprint(tensors, preprocess.to_json(), target.classes, mean, std)
    return Dataset(
        raw.name,
        spec,
        *tensors,
        preprocess=preprocess,
        classes=target.classes,
        target_mean=mean,
        target_std=std,
        augment=augment,
        fingerprint=mark,
        target_name=raw.target_name,
    )


def _numbers(target: Target, train_rows: np.ndarray) -> tuple[Tensor, Scale, Scale]:
    """Codes, or the target standardized by its training rows; with mean and std, of each where there are several."""
    known = target.values[train_rows]
    if target.task == "multilabel":
        return torch.from_numpy(target.values.astype(np.float32)), 0.0, 1.0
    if target.classes:
        if len(np.unique(known)) < 2:
            raise BadData("the training part must have at least two classes, got one; add rows of other classes")
        return torch.from_numpy(target.values), 0.0, 1.0
    mean, std = known.mean(axis=0), known.std(axis=0)
    if (std == 0).any():
        only = np.atleast_1d(mean)[np.argmin(std)]
        raise BadData(f"the target must vary in the training part, got only {only:g}; choose another target column")
    standardized = torch.from_numpy(((target.values - mean) / std).astype(np.float32))
    if known.ndim == 1:
        return standardized, float(mean), float(std)
    return standardized, tuple(map(float, mean)), tuple(map(float, std))
