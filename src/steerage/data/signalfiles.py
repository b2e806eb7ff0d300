"""Folders of recordings: a CSV file per window, a folder per class; rows are moments, columns are channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steerage.data.columns import numbers
from steerage.data.raw import listed
from steerage.data.tablefiles import read_csv
from steerage.errors import BadData

SUFFIXES = frozenset({".csv"})


def read_windows(files: Sequence[Path], names: Sequence[str]) -> np.ndarray:
    """float32 (n, channels, length) of CSV files with one header and as many rows; ``names``: for messages.

    Raises: BadData naming a file that differs from the first one, or has cells that are no numbers.
    """
    windows: list[np.ndarray] = []
    columns: list[str] = []
    for file, name in zip(files, names, strict=True):
        frame = read_csv(file)
        columns = columns or [*frame.columns]
        if [*frame.columns] != columns:
            raise BadData(f"{name} must have the columns {listed(columns)}, as {names[0]} has; got {listed(frame)}")
        window = np.stack([numbers(frame[column]) for column in columns])  # (channels, length)
        if windows and window.shape != windows[0].shape:
            raise BadData(
                f"{name} must have {windows[0].shape[1]} rows, as {names[0]} has, got {window.shape[1]}; "
                "cut recordings into windows of one length"
            )
        if np.isnan(window).any():
            channel, row = np.argwhere(np.isnan(window))[0]
            raise BadData(f"{name} must have a number in every cell, got none in row {row + 1} of {columns[channel]!r}")
        windows.append(window)
    return np.stack(windows)
