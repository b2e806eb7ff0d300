"""Files that unfold to more than there is memory for are refused before they do."""

from __future__ import annotations

import gzip
import io
import os
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from steerage.data import bounds, load_dataset
from steerage.data.archives import read_npz
from steerage.data.imagefiles import read_images
from steerage.data.tablefiles import read_csv, read_schema
from steerage.errors import BadData


def png(width: int, height: int) -> bytes:
    """A grey image of so many pixels, all black: a thousandth of a byte for each."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",".join(f"c{at}" for at in range(1_000_000)) + "\n1,2\n")
    with pytest.raises(BadData, match="at most 100,000 columns, got 1,000,000"):
        read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("begin", ["", "a,b\n1,"])
def test_a_line_without_end_is_not_read_to_its_end(begin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_LINE", 1_000_000)
    path = tmp_path / "a.csv"
    path.write_text(begin)
    os.truncate(path, 10_000_000_000)  # a hole, which takes no place on the disk
    with pytest.raises(BadData, match="lines of at most 1 MB"):
        read_csv(path)


def test_a_gzip_file_that_unfolds_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FOLD_FROM", 1_000_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000))
    with pytest.raises(BadData, match="at most 300 times its size"):
        read_csv(tmp_path / "a.csv.gz")


def test_an_image_of_gigapixels_is_refused_by_its_header() -> None:
    with pytest.raises(BadData, match="photo must have at most 67,108,864 pixels, got 10000x10000; resize it"):
        read_images([png(10_000, 10_000)], ["photo"])
    with pytest.raises(BadData, match="photo is too large"):
        read_images([png(100_000, 100_000)], ["photo"])


@pytest.mark.parametrize("form", ["PNG", "JPEG", "MPO", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_that_is_named_is_read(form: str, channels: int) -> None:
    pixels = (np.arange(12 * 10 * 3).reshape(12, 10, 3) * 7 % 256).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(stream, form)
    assert read_images([stream.getvalue()], ["image"]).shape[2:] == (12, 10)


def test_an_image_format_that_runs_programs_is_not_read() -> None:
    with pytest.raises(BadData, match="must be an image"):
        read_images([b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"], ["drawing"])


def test_an_array_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 4), }\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", content)
        file.writestr("y.npy", content)
    with pytest.raises(BadData, match=r"a\.npz:x\.npy is damaged: it has fewer numbers"):
        read_npz(tmp_path / "a.npz")


def test_an_array_that_unfolds_a_thousand_times_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "FOLD_FROM", 1_000_000)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1_000_000, 2)), y=np.zeros(1_000_000))
    with pytest.raises(BadData, match="at most 300 times its size"):
        read_npz(tmp_path / "a.npz")


def test_a_name_in_an_archive_leads_nowhere(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("../../x.npy", b"evil")
        file.writestr("/y.npy", b"evil")
    with pytest.raises(BadData, match="must have the arrays"):
        read_npz(tmp_path / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_parquet_file_of_too_many_cells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame({"a": np.zeros(1000), "b": np.zeros(1000)}).to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(bounds, "MAX_CELLS", 1999)
    with pytest.raises(BadData, match="at most 1,999 cells, got 2,000"):
        read_schema(tmp_path / "a.parquet")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("name", ["a.csv", "a.npz", "a.parquet"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(BadData, match="must be a file"):
        load_dataset(str(tmp_path / name))


@settings(max_examples=60, deadline=None)
@example(content=b'\t\n"\t"')  # a header of nothing but separators
@given(content=st.one_of(st.binary(max_size=200), st.text('a1,;\t\n" .', max_size=200).map(str.encode)))
def test_any_table_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a column only counts the rows, for example
            assert len(read_csv(path).columns) > 0
    except BadData as refusal:
        assert "any.csv" in str(refusal)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, len(png(8, 8)) - 1), byte=st.integers(0, 255))
def test_any_image_is_read_or_refused(at: int, byte: int) -> None:
    changed = bytearray(png(8, 8))
    changed[at] = byte
    try:
        assert read_images([bytes(changed)], ["image"]).ndim == 4
    except BadData as refusal:
        assert "image" in str(refusal)
