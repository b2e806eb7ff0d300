"""What in a data set makes a test figure too good, or cannot help: IDs, copies of the target, rows in both parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from steerage.data.columns import category_texts, is_category, numbers
from steerage.data.weights import row_marks
from steerage.errors import BadData

What = Literal[
    "fault",
    "id",
    "copy",
    "tells",
    "twice",
    "contradiction",
    "overlap",
    "group",
    "uneven",
    "rare",
    "unlabelled",
    "date",
]

TELLS = 0.99  # of balanced accuracy, or of R²: a single column that is this good has seen the answer, or is it
UNEVEN = 10.0  # times as many rows of the most frequent class as of the rarest
RARE = 10  # rows of a class, below which its share of the test part says nothing
MOST_ROWS = 4_000  # that trees are grown from
MOST_COLUMNS = 300  # that trees are grown for

_NAME_OF_ID = re.compile(r"(^|[_\W])(id|idx|index|uuid|guid|key|row|nr|no)$", re.IGNORECASE)
_NAME_OF_GROUP = re.compile(
    r"(^|[_\W])(person|subject|patient|participant|user|speaker|customer|recording|session|group)s?([_\W]?(id|no|nr))?$",
    re.IGNORECASE,
)
_OTHER_DATE = re.compile(r"\s*(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}[./]\d{1,2}[./]\d{1,2})(\s|$)")


@dataclass(frozen=True)
class Finding:
    """Something to look at. ``column``: the one that it is about, if it is about one. ``message``: one line."""

    what: What
    message: str
    column: str | None = None


def suspicious_columns(x: pd.DataFrame, codes: np.ndarray, *, classification: bool) -> Iterator[Finding]:
    """Columns that count the rows, or by which alone the target is known.

    ``codes``: (n,) int64 class codes, or float64 values, of the rows of ``x``.
    """
    for at, name in enumerate(map(str, x.columns)):
        try:
            column = _Column(x.iloc[:, at])
        except BadData:
            continue  # the fault itself is told by whoever fits the column
        if column.is_copy(codes):
            yield Finding("copy", "is the target under another name; leave it out", name)
        elif column.is_id(name):
            yield Finding("id", "has another value in every row, as an ID has; leave it out", name)
        elif at < MOST_COLUMNS and (score := column.tells(codes, classification)) >= TELLS:
            measure = "balanced accuracy" if classification else "R²"
            message = f"alone tells the target (cross-validated {measure} {score:.3f}): is it known beforehand?"
            yield Finding("tells", message, name)


class _Column:
    """One column as numbers: ``values`` (n,) with NaN where missing; texts as codes in the order of the alphabet."""

    def __init__(self, series: pd.Series) -> None:
        self.category = is_category(series)
        texts = category_texts(series) if self.category else None
        codes = pd.factorize(texts, sort=True)[0].astype(np.float64) if texts is not None else None
        self.values = numbers(series).astype(np.float64) if codes is None else np.where(codes < 0, np.nan, codes)
        self.known = ~np.isnan(self.values)
        self.distinct = len(np.unique(self.values[self.known]))

    def is_copy(self, codes: np.ndarray) -> bool:
        """Whether each value stands for one value of the target, and the other way round."""
        if not self.known.all() or self.distinct < 2 or self.distinct != len(np.unique(codes)):
            return False
        if np.issubdtype(codes.dtype, np.floating):
            return bool(np.array_equal(self.values.astype(np.float32), codes.astype(np.float32)))
        pairs = len(np.unique(np.stack([self.values, codes.astype(np.float64)]), axis=1).T)
        return pairs == self.distinct

    def is_id(self, name: str) -> bool:
        """Whether numbers only tell rows apart: whole ones without gaps, or with such a name.

        Texts that do are left out of every table.
        """
        if self.category or self.distinct < max(2, len(self.values)):
            return False
        whole = bool((self.values == np.round(self.values)).all())
        dense = bool(self.values.max() - self.values.min() + 1 == len(self.values))
        return whole and (dense or _NAME_OF_ID.search(name) is not None)

    def tells(self, codes: np.ndarray, classification: bool) -> float:
        """Cross-validated balanced accuracy, or R², of a decision tree on this column alone."""
        from sklearn.model_selection import cross_val_score  # a third of the time that a program takes to begin
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        every = max(1, len(codes) // MOST_ROWS)
        values = np.where(self.known, self.values, np.nanmin(self.values) - 1 if self.known.any() else 0.0)[::every]
        wanted = codes[::every]
        if len(np.unique(values)) < 2:
            return 0.0
        order = np.random.default_rng(0).permutation(len(wanted))  # files are often sorted
        values, wanted = values[order, None], wanted[order]
        if not classification:
            tree = DecisionTreeRegressor(min_samples_leaf=2, random_state=0)
            return float(cross_val_score(tree, values, wanted, cv=3, scoring="r2").mean())
        counts = np.bincount(wanted)
        often = (counts >= 6)[wanted]  # balanced accuracy needs each class in each fold
        if len(np.unique(wanted[often])) < 2:
            return 0.0
        tree = DecisionTreeClassifier(min_samples_leaf=2, class_weight="balanced", random_state=0)
        return float(cross_val_score(tree, values[often], wanted[often], cv=3, scoring="balanced_accuracy").mean())


def repeated_rows(x: pd.DataFrame | np.ndarray, codes: np.ndarray, test: np.ndarray) -> Iterator[Finding]:
    """Rows that come more than once. ``codes``: (n,) or (n, targets); ``test``: bool (n,), rows of the test part."""
    marks = row_marks(x)
    _, kind = np.unique(marks, return_inverse=True)
    again = len(marks) - len(np.unique(kind))
    if again == 0:
        return
    seen = np.zeros(kind.max() + 1, dtype=bool)
    seen[kind[~test]] = True
    overlap = int(seen[kind[test]].sum())
    if overlap:
        share = f"{overlap:,} of {int(test.sum()):,} test rows ({100 * overlap / test.sum():.1f} %)"
        yield Finding("overlap", f"{share} are training rows as well: test figures are too good by that")
    if again > overlap:
        yield Finding("twice", f"{again:,} of {len(marks):,} rows are repetitions of others")
    labels = np.unique(codes.reshape(len(codes), -1), axis=0, return_inverse=True)[1].reshape(-1)
    pairs = np.unique(np.stack([kind.reshape(-1), labels]), axis=1)[0]
    kinds, targets = np.unique(pairs, return_counts=True)
    contradicting = int(np.isin(kind, kinds[targets > 1]).sum())
    if contradicting:
        yield Finding("contradiction", f"{contradicting:,} rows have equal inputs and different targets")


def parted_groups(train: np.ndarray, test: np.ndarray) -> Iterator[Finding]:
    """Test rows of a group that training rows are of, too: (n,) groups of either part."""
    shared = np.isin(test, train)
    if shared.any():
        share = f"{int(shared.sum()):,} of {len(test):,} test rows ({100 * shared.mean():.1f} %)"
        yield Finding("group", f"{share} are of a group that is in the training part too: test figures are too good")


def likely_groups(x: pd.DataFrame) -> Iterator[Finding]:
    """Columns whose names and repetitions say that rows belong together."""
    for name, column in x.items():
        if _NAME_OF_GROUP.search(str(name)) is None:
            continue
        different = column.astype(str).nunique()
        if 2 < different <= len(x) / 2:
            message = f"{different:,} values, which rows may belong to: keep them in one part each with --group {name}"
            yield Finding("group", message, str(name))


def unread_dates(x: pd.DataFrame) -> Iterator[Finding]:
    """Columns of text that are dates in a spelling other than ISO 8601, of which most known cells are."""
    for name, column in x.items():
        cells = column.dropna().iloc[:100].tolist()
        dates = [cell for cell in cells if isinstance(cell, str) and _OTHER_DATE.match(cell)]
        if len(dates) > len(cells) / 2:
            message = f"dates such as {dates[0]!r} are text here; write them as 2026-01-31 to have days"
            yield Finding("date", message, str(name))


def class_findings(counts: dict[str, int], *, apart: bool = True) -> Iterator[Finding]:
    """``counts``: rows of each class; ``apart``: whether each row is of one."""
    most, least = max(counts.values()), min(counts.values())
    if apart and most >= UNEVEN * least:
        message = f"the most frequent class has {most / max(1, least):,.0f} times as many rows as the rarest"
        yield Finding("uneven", message)
    few = [name for name, count in counts.items() if count < RARE]
    if few:
        shown = ", ".join(few[:3]) + (f" and {len(few) - 3} more" if len(few) > 3 else "")
        yield Finding("rare", f"fewer than {RARE} rows of class {shown}: too few to be learnt or judged")
