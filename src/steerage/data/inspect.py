"""What a source holds and what would be done with it, without training anything."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from steerage.data.augment import Augment, augment_for
from steerage.data.build import MIN_ROWS, drop_unlabelled, joined, split_rows, take
from steerage.data.columns import category_texts, is_category, is_date, numbers
from steerage.data.dataset import Kind, Task
from steerage.data.leaks import (
    Finding,
    class_findings,
    likely_groups,
    parted_groups,
    repeated_rows,
    suspicious_columns,
    unread_dates,
)
from steerage.data.raw import Labels, Raw, together
from steerage.data.signals import MODEST, SignalAugment
from steerage.data.sources import load_raw
from steerage.data.tablefit import fit_column
from steerage.data.tabular import Column
from steerage.data.target import MANY_VALUES, Target, known_labels, read_target
from steerage.errors import BadData

ColumnType = Literal["number", "whole number", "date", "text", "true/false", "faulty"]


@dataclass(frozen=True)
class ColumnReport:
    """One column of a table. ``missing``: share of the training rows; ``distinct``: values in them.

    ``treatment``: what becomes of it. ``features``: how many inputs of a network it gives, 0 where it is left out.
    """

    name: str
    type: ColumnType
    missing: float
    distinct: int
    treatment: str
    features: int


@dataclass(frozen=True)
class Report:
    """What ``inspect_data`` sees.

    ``rows``: with a label, in both parts; ``unlabelled``: left out. ``own_test``: whether the source has a test part of
    its own. ``task`` and ``why``: None where the target cannot be used, which is then among the ``findings``.
    ``classes``: rows of each, or of each label that is on; ``target_range``: least, mean, greatest and
    standard deviation of a regression's target, None of several. ``input_shape``: of one network input. ``columns``: of
    a table; ``augmentation``: of training images and signals.
    ``groups``: how many the training and the test part have, None where rows are independent; ``group``: their column.
    """

    name: str
    kind: Kind
    rows: int
    train_rows: int
    test_rows: int
    own_test: bool
    unlabelled: int
    target: str | None
    task: Task | None
    why: str
    classes: dict[str, int]
    target_range: tuple[float, float, float, float] | None
    input_shape: tuple[int, ...]
    columns: tuple[ColumnReport, ...]
    augmentation: str
    findings: tuple[Finding, ...]
    group: str | None = None
    groups: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def inspect_data(
    source: str,
    *,
    target: str | None = None,
    task: Task | None = None,
    kind: Kind | None = None,
    group: str | None = None,
) -> Report:
    """What ``source`` holds; arguments as for ``load_dataset``.

    Faults that would end a run are findings of kind "fault" here. Raises: BadData for a source that cannot be read or
    has no such target; MissingDependency.
    """
    return inspect_raw(load_raw(source, target=target, kind=kind, group=group), task=task)


def inspect_raw(raw: Raw, *, task: Task | None = None) -> Report:
    """As ``inspect_data``, for rows that are read already."""
    if raw.y is None:
        raise BadData(f"{raw.name} must have labels, got none; name the target column")
    findings: list[Finding] = []
    own_test = raw.x_test is not None and raw.y_test is not None
    all_labels = raw.y if raw.y_test is None else together(raw.y, raw.y_test)
    unlabelled = int((~known_labels(all_labels)).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # all of it is in the report
        x, y = drop_unlabelled(raw.x, raw.y)
        x_test, y_test = x[:0], y[:0]
        if raw.x_test is not None and raw.y_test is not None:
            x_test, y_test = drop_unlabelled(raw.x_test, raw.y_test)
    if unlabelled:
        findings.append(Finding("unlabelled", f"{unlabelled:,} of {len(all_labels):,} rows have no label: left out"))
    everything, labels = (joined(x, x_test), together(y, y_test)) if own_test else (x, y)
    found = _target(labels, raw, task, findings)
    test = np.zeros(len(labels), dtype=bool)
    if own_test:
        test[len(y) :] = True
    elif len(labels) >= MIN_ROWS:
        own = None if raw.groups is None else raw.groups[known_labels(raw.y)]
        try:
            test[split_rows(labels, found is not None and bool(found.classes), own)[1]] = True
        except BadData as fault:
            findings.append(Finding("fault", str(fault), raw.group_name))
    train = x if own_test else take(everything, np.flatnonzero(~test))
    later = x_test if own_test else take(everything, np.flatnonzero(test))
    columns: tuple[ColumnReport, ...] = ()
    if isinstance(train, pd.DataFrame) and isinstance(later, pd.DataFrame):
        columns = tuple(_columns(train, later, findings))
        findings += unread_dates(train)
    if found is not None:
        if isinstance(everything, pd.DataFrame):
            by_target = found.values.astype(np.int64) if found.classes else found.values
            told = [
                suspicious_columns(everything, one, classification=bool(found.classes))
                for one in by_target.reshape(len(labels), -1).T
            ]
            findings += dict.fromkeys(finding for one in told for finding in one)
        findings += repeated_rows(everything, found.values, test)
    groups = _groups(raw, test)
    if groups is not None:
        findings += parted_groups(*groups)
    elif isinstance(train, pd.DataFrame):
        findings += likely_groups(train)
    classes: dict[str, int] = {}
    if found is not None and found.classes:
        switches = found.task == "multilabel"
        counts = found.values.sum(axis=0) if switches else np.bincount(found.values, minlength=len(found.classes))
        classes = dict(zip(found.classes, map(int, counts), strict=True))
        findings += class_findings(classes, apart=not switches)
    shape = (sum(column.features for column in columns),) if columns else train.shape[1:]
    return Report(
        name=raw.name,
        kind=raw.kind,
        rows=len(labels),
        train_rows=int((~test).sum()),
        test_rows=int(test.sum()),
        own_test=own_test,
        unlabelled=unlabelled,
        target=raw.target_name,
        task=None if found is None else found.task,
        why="" if found is None else _reason(labels, raw, task, found),
        classes=classes,
        target_range=None if found is None or found.classes or found.values.ndim > 1 else _range(found.values),
        input_shape=tuple(map(int, shape)),
        columns=columns,
        augmentation="" if isinstance(train, pd.DataFrame) else _augmentation(train, raw.kind),
        findings=tuple(findings),
        group=raw.group_name,
        groups=None if groups is None else (len(np.unique(groups[0])), len(np.unique(groups[1]))),
    )


def _groups(raw: Raw, test: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Groups of the training and the test rows; None where they are not known of each."""
    if raw.groups is None or raw.y is None:
        return None
    own = raw.groups[known_labels(raw.y)]
    if raw.y_test is None:
        return own[~test], own[test]
    return None if raw.groups_test is None else (own, raw.groups_test[known_labels(raw.y_test)])


def _target(labels: Labels, raw: Raw, task: Task | None, findings: list[Finding]) -> Target | None:
    """Labels as numbers; None with a finding that says why they cannot be."""
    if len(labels) < MIN_ROWS:
        findings.append(Finding("fault", f"needs {MIN_ROWS} rows with a label, has {len(labels)}"))
        return None
    try:
        return read_target(labels, task=task, class_names=raw.class_names)
    except BadData as fault:
        findings.append(Finding("fault", str(fault), raw.target_name))
        return None


def _reason(labels: Labels, raw: Raw, task: Task | None, target: Target) -> str:
    """Why the task is what it is."""
    if isinstance(labels, pd.DataFrame):
        return f"{labels.shape[1]} columns"
    if task is not None:
        return "as asked"
    if raw.class_names:
        return "the source names its classes"
    if types.is_bool_dtype(labels.dtype):
        return "true or false"
    if not target.classes:
        fractions = bool((target.values != np.round(target.values)).any())
        return "numbers with fractions" if fractions else f"{len(np.unique(target.values)):,} different whole numbers"
    if types.is_numeric_dtype(labels.dtype) or pd.to_numeric(labels.astype(object), errors="coerce").notna().all():
        few = len(target.classes) <= MANY_VALUES
        return f"{'few' if few else 'often the same'} whole numbers"
    return "text"


def _range(values: np.ndarray) -> tuple[float, float, float, float]:
    return float(values.min()), float(values.mean()), float(values.max()), float(values.std())


def _columns(train: pd.DataFrame, later: pd.DataFrame, findings: list[Finding]) -> Iterator[ColumnReport]:
    """Each column of the training rows; faults in ``later`` ones are found as well."""
    for at, name in enumerate(map(str, train.columns)):
        series = train.iloc[:, at].rename(name)
        try:
            fitted = fit_column(name, series)
            if isinstance(fitted, Column) and fitted.kind == "number" and name in later.columns:
                numbers(later[name])
            texts = category_texts(series) if is_category(series) else pd.Series(numbers(series))
        except BadData as fault:
            findings.append(Finding("fault", str(fault), name))
            missing, distinct = float(series.isna().mean()), int(series.astype(str).nunique())
            yield ColumnReport(name, "faulty", missing, distinct, "must be mended", 0)
            continue
        missing, distinct = float(texts.isna().mean()), int(texts.nunique())
        features = 0 if isinstance(fitted, str) else fitted.one_hot or 1 + fitted.indicator
        yield ColumnReport(name, _type_of(series), missing, distinct, _treatment(fitted), features)


def _type_of(series: pd.Series) -> ColumnType:
    if is_date(series):
        return "date"
    if is_category(series):
        return "true/false" if set(category_texts(series).dropna().unique()) <= {"True", "False"} else "text"
    values = numbers(series)
    known = values[~np.isnan(values)]
    return "whole number" if (known == np.round(known)).all() else "number"


def _treatment(fitted: Column | str) -> str:
    if isinstance(fitted, str):
        return f"left out: {fitted}"
    if fitted.one_hot:
        return f"{fitted.one_hot} inputs of 0 or 1"
    if fitted.kind == "category" and not fitted.indicator and len(fitted.categories) <= 2:
        return "one input of 0 or 1" if len(fitted.categories) == 2 else "one input: missing or not"
    how = "ranked by frequency" if fitted.kind == "category" else "standardized"
    how = f"logarithm, {how}" if fitted.log_unit else how
    return f"{how}, and if missing" if fitted.indicator else how


def _augmentation(images: np.ndarray, kind: Kind) -> str:
    import torch

    asked: Augment | SignalAugment = MODEST
    if kind == "image":
        asked = augment_for(torch.from_numpy(np.ascontiguousarray(images[:: max(1, len(images) // 2000)])))
    parts = {name: value for name, value in asdict(asked).items() if value and name != "fill"}
    return ", ".join(name if value is True else f"{name} {value:g}" for name, value in parts.items()) or "none"
