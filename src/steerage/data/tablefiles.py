"""CSV and parquet files -> DataFrames, with the faults that readers let pass turned into errors."""

from __future__ import annotations

import csv
import io
import re
import warnings
import zlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from steerage.data.bounds import check_columns, check_size, open_text
from steerage.data.raw import MISSING, listed, notice
from steerage.errors import BadData


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV file with a header line; commas, or semicolons or tabs if the header has no comma. UTF-8, maybe gzipped.

    Rows are numbered from 1. Raises: BadData, also for more than ``bounds`` allows, before it is in memory.
    """
    try:
        header, separator = _header(path)
        check_columns(path.name, len(header))
        _check_header(path, header)
        with warnings.catch_warnings(), open_text(path) as file:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                file,
                sep=separator,
                encoding="utf-8-sig",
                na_values=list(MISSING),
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
                low_memory=False,
            )
    except pd.errors.ParserWarning as error:
        raise BadData(f"{path.name} must have as many cells in every row as in its header; check the commas") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path.name} must be text in UTF-8, got other bytes at {error.start}; convert it") from error
    except (
        *(pd.errors.ParserError, csv.Error, zlib.error, OSError, EOFError),
        *(ValueError, OverflowError, IndexError, MemoryError),
    ) as error:
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            wanted, line, cells = found.groups()
            raise BadData(
                f"{path.name} must have as many cells in every row as in its header, got {cells} for {wanted} in line "
                f"{line}; check the commas"
            ) from error
        raise BadData(f"{path.name} cannot be read as CSV ({_line(error)}); check the file") from error
    if len(frame.columns) != len(header):  # a header of nothing but separators, which pandas passes over
        raise BadData(f"{path.name} must have a header whose columns are those of its rows; check the first line")
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    frame.columns = [name.strip() for name in header]
    return _without_row_numbers(path, frame)


def _header(path: Path) -> tuple[list[str], str]:
    with open_text(path) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as file:
        line = next((line for line in file if line.strip()), None)
    if line is None:
        raise BadData(f"{path.name} must have a header and rows, but it is empty; write the table again")
    separator = "," if "," in line else ";" if ";" in line else "\t" if "\t" in line else ","
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True)), separator


def _check_header(path: Path, header: list[str]) -> None:
    numeric = [name for name in header if _is_number(name)]
    whole = all(name.strip().isdigit() for name in numeric) and len(set(numeric)) == len(numeric)
    if len(numeric) > len(header) / 2 and not whole:
        raise BadData(f"{path.name} must have a header line with column names, got {listed(header, 5)}; add one")
    check_unique(path, [name.strip() for name in header])


def check_unique(path: Path, names: list[str]) -> None:
    """Raises BadData naming the columns that occur twice."""
    if len(set(names)) < len(names):
        twice = dict.fromkeys(name for name in names if names.count(name) > 1)
        raise BadData(f"{path.name} must have unique column names, got {listed(twice)} more than once; rename them")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_row_numbers(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Drops a nameless first column that only counts the rows, as ``DataFrame.to_csv`` writes it."""
    if frame.shape[1] < 2 or frame.columns[0] != "" or not pd.api.types.is_integer_dtype(frame.iloc[:, 0].dtype):
        return frame
    first = frame.iloc[:, 0].to_numpy()
    if len(first) and (first[1:] - first[:-1] == 1).all():
        notice(f"{path.name}: the first column has no name and only counts the rows; it is left out")
        return frame.iloc[:, 1:]
    return frame


def read_schema(path: Path) -> pa.Schema:
    """Columns of a parquet file. Raises: BadData, also for a file of more than ``bounds`` allows."""
    if not path.is_file():
        raise BadData(f"{path.name} must be a file; check the path")
    try:
        about = pq.read_metadata(path)
        schema = about.schema.to_arrow_schema()
        groups = [about.row_group(at) for at in range(about.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise BadData(f"{path.name} cannot be read as parquet ({_line(error)}); check the file") from error
    check_columns(path.name, len(schema.names), sum(max(0, group.num_rows) for group in groups))
    check_size(path.name, sum(max(0, group.total_byte_size) for group in groups))
    check_unique(path, list(schema.names))
    return schema


def read_arrow(path: Path) -> pa.Table:
    """A whole parquet file. Raises: BadData."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise BadData(f"{path.name} cannot be read as parquet ({_line(error)}); check the file") from error


def read_parquet(path: Path) -> pd.DataFrame:
    """A parquet table; rows are numbered from 1. Raises: BadData."""
    read_schema(path)
    try:
        frame = read_arrow(path).to_pandas()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadData(f"{path.name} has columns that are no numbers or text ({_line(error)}); remove them") from error
    frame = pd.DataFrame(frame).reset_index(drop=True)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    frame.columns = [str(name) for name in frame.columns]
    return frame


def data_name(path: Path, *, paired: bool = False) -> str:
    """Name of a data set after its file: ``letter.csv.gz`` is letter; of a pair, ``cifar_train.parquet`` is cifar."""
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    return stem[: -len("_train")] or stem if paired and stem != "train" else stem


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return re.split(r"\n|\. ", text)[0] if text else type(error).__name__
