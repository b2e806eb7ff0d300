"""The two public doors: a data set to learn from, and labelled rows to judge an existing network by."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from steerage.data.build import build_dataset, drop_unlabelled, joined, split_rows, take
from steerage.data.dataset import Dataset, Kind, Preprocess, Task
from steerage.data.raw import Labels, Raw, listed, together
from steerage.data.signals import SignalPreprocess
from steerage.data.sources import load_raw
from steerage.data.target import class_name, codes_for, known_labels, quantities, switched
from steerage.errors import BadArgument, BadData


def load_dataset(
    source: str,
    *,
    target: str | None = None,
    task: Task | None = None,
    kind: Kind | None = None,
    group: str | None = None,
) -> Dataset:
    """A data set by name, file or folder; ``docs/data.md`` lists what is accepted and how it is treated.

    ``target``: column with the labels (default: the last one). ``task``: default is told from the labels. ``kind``:
    "signal" for signals over time, which would be a table or grey images otherwise. ``group``: column of a table that
    says which rows belong together (one person's, one recording's): no group is in two parts, and it is no input.
    Raises: BadData, MissingDependency.
    """
    return build_dataset(load_raw(source, target=target, kind=kind, group=group), task=task)


def load_labelled(
    source: str,
    *,
    preprocess: Preprocess,
    classes: tuple[str, ...],
    target_name: str | None,
    task: Task,
    group_name: str | None = None,
    part: Literal["train", "test", "all"] = "test",
) -> tuple[Tensor, Tensor | None]:
    """Rows of a source encoded by an existing ``preprocess``, and their labels.

    x: encoded, float32 ``(n, columns)`` or ``(n, channels, length)``, or uint8 | float32 ``(n, c, h, w)``; pass it
    through ``preprocess.module()``.
    y: int64 ``(n,)`` codes of ``classes``, or float32 ``(n,)`` or ``(n, targets)`` in original units, or float32
    ``(n, labels)`` of 1 and 0; None where the source has no labels.
    ``part="test"``: the source's test part, or the rows that ``load_dataset`` would set aside; ``"train"``: the others;
    ``"all"``: every row. ``group_name``: the column of groups that ``load_dataset`` was given. Raises: BadData,
    also for labels that are none of ``classes``, and for ``"test"`` without labels or groups.
    """
    if part not in ("train", "test", "all"):
        raise BadArgument(f"part must be 'train', 'test' or 'all', got {part!r}")
    shape = preprocess.input_shape
    raw = load_raw(
        source,
        target=target_name,
        group=group_name,
        labelled=False,
        shape=(shape[0], shape[1], shape[2]) if len(shape) == 3 else None,
        kind="signal" if isinstance(preprocess, SignalPreprocess) else None,
    )
    if raw.y is None:
        if part == "test":
            raise BadData(f"{raw.name} has no column {target_name!r} to find its test rows by; evaluate all rows")
        return preprocess.encode(raw.x if part == "train" else joined(raw.x, raw.x_test)), None
    if raw.x_test is not None and raw.y_test is not None:
        x, y = (raw.x_test, raw.y_test) if part == "test" else (raw.x, raw.y)
        if part == "all":
            x, y = joined(raw.x, raw.x_test), _labels(raw)
        x, y = drop_unlabelled(x, y)
    else:
        known = known_labels(raw.y)
        x, y = drop_unlabelled(raw.x, raw.y)
        if part != "all":
            if group_name is not None and raw.groups is None:
                raise BadData(f"{raw.name} has no column {group_name!r} to find its test rows by; evaluate all rows")
            groups = None if raw.groups is None else raw.groups[known]
            train, test = split_rows(y, task == "classification", groups)
            rows = test if part == "test" else train
            x, y = take(x, rows), y.iloc[rows]
    if len(y) == 0:
        raise BadData(f"{raw.name} must have rows with a label, got none; check the target column")
    encoded = preprocess.encode(x)
    if task == "regression":
        return encoded, torch.from_numpy(quantities(y).astype(np.float32))
    if task == "multilabel" and isinstance(y, pd.DataFrame):
        return encoded, torch.from_numpy(switched(y).astype(np.float32))
    if isinstance(y, pd.DataFrame):
        raise BadData(f"{raw.name} must have one target column of classes, got {listed(y)}; name it")
    if raw.class_names:
        y = pd.Series([class_name(code, raw.class_names) for code in y], name=y.name)
    return encoded, torch.from_numpy(codes_for(y, classes))


def _labels(raw: Raw) -> Labels:
    return together(*(part for part in (raw.y, raw.y_test) if part is not None))
