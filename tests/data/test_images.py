"""Image files and arrays become one uint8 or float32 tensor, whatever their layout."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from steerage.data import load_dataset, load_labelled, preprocess_from_json
from steerage.data.imagefiles import read_images
from steerage.data.images import ImagePreprocess, as_images, fit_images
from steerage.errors import BadData


def png(seed: int, size: tuple[int, int] = (6, 5), mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def fill(folder: Path, count: int = 8, **options: object) -> None:
    for at, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for row in range(count):
            (folder / name / f"{row}.png").write_bytes(png(100 * at + row, **options))  # type: ignore[arg-type]


def write_parquet(path: Path, rows: int, *, struct: bool = True, metadata: bool = False) -> None:
    cells = [png(row) for row in range(rows)]
    images = pa.array([{"bytes": cell, "path": f"{at}.png"} for at, cell in enumerate(cells)] if struct else cells)
    table = pa.table({"image": images, "label": pa.array([row % 2 for row in range(rows)])})
    if metadata:
        features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path)


def test_a_folder_per_class_is_read_in_order(tmp_path: Path) -> None:
    fill(tmp_path / "pets")
    data = load_dataset(str(tmp_path / "pets"))
    assert (data.name, data.classes, data.spec.input_shape) == ("pets", ("cat", "dog"), (3, 5, 6))
    assert (data.spec.rows, len(data.x_test), data.x.dtype) == (12, 4, torch.uint8)


def test_train_and_test_folders_are_the_parts(tmp_path: Path) -> None:
    fill(tmp_path / "train", 6)
    fill(tmp_path / "test", 3)
    data = load_dataset(str(tmp_path))
    assert (data.spec.rows, len(data.x_test)) == (12, 6)
    assert data.y_test.tolist() == [0, 0, 0, 1, 1, 1]
    expected = np.asarray(Image.open(tmp_path / "test/cat/0.png"))
    assert np.array_equal(data.x_test[0].permute(1, 2, 0).numpy(), expected)


def test_images_of_unlike_size_are_resized_with_a_warning(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "cat/0.png").write_bytes(png(0, (9, 12)))
    with pytest.warns(UserWarning, match="images have 2 sizes .* median, 6x5"):
        assert load_dataset(str(tmp_path)).spec.input_shape == (3, 5, 6)


def test_grey_images_have_one_channel_unless_mixed_with_colour(tmp_path: Path) -> None:
    fill(tmp_path / "grey", mode="L")
    assert load_dataset(str(tmp_path / "grey")).spec.input_shape == (1, 5, 6)
    (tmp_path / "grey/cat/0.png").write_bytes(png(0))
    assert load_dataset(str(tmp_path / "grey")).spec.input_shape == (3, 5, 6)


def test_sixteen_bit_images_keep_their_range() -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 65535, 32896]], dtype=np.uint16)).save(file, "PNG")
    assert read_images([file.getvalue()], ["a"]).ravel().tolist() == [0, 255, 128]


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "dog/3.png").write_bytes(b"not an image")
    with pytest.raises(BadData, match=r"dog.3\.png must be an image"):
        load_dataset(str(tmp_path))
    (tmp_path / "dog/3.png").write_bytes(png(3)[:60])
    with pytest.raises(BadData, match=r"dog.3\.png must be an image"):
        load_dataset(str(tmp_path))


def test_tables_in_folders_beside_images_are_no_groups(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "cat/notes").mkdir()
    (tmp_path / "cat/notes/boxes.csv").write_text("left,top\n1,2\n")
    data = load_dataset(str(tmp_path))
    assert data.spec.kind == "image" and data.groups is None


def test_images_in_folders_of_groups_are_groups(tmp_path: Path) -> None:
    for leaf in ("oak 1", "oak 2", "oak 3"):
        fill(tmp_path / leaf, 5)
    for name in ("cat", "dog"):
        for leaf in ("oak 1", "oak 2", "oak 3"):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / leaf / name).rename(tmp_path / "set" / name / leaf)
    data = load_dataset(str(tmp_path / "set"))
    assert data.groups is not None and len(set(data.groups.tolist())) == 2 and len(data.x_test) == 10


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(0))
    with pytest.raises(BadData, match=r"one subfolder of images per class, it has a\.png"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("struct", [True, False])
def test_parquet_images_may_be_bytes_or_structs(tmp_path: Path, struct: bool) -> None:
    write_parquet(tmp_path / "a.parquet", 20, struct=struct)
    data = load_dataset(str(tmp_path / "a.parquet"))
    assert (data.spec.input_shape, data.classes, data.spec.rows) == ((3, 5, 6), ("0", "1"), 16)


def test_parquet_pairs_are_the_parts_and_names_come_from_metadata(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pets_train.parquet", 20, metadata=True)
    write_parquet(tmp_path / "pets_test.parquet", 6, metadata=True)
    path = str(tmp_path / "pets_train.parquet")
    data = load_dataset(path)
    assert (data.name, data.classes, len(data.x_test)) == ("pets", ("cat", "dog"), 6)
    x, y = load_labelled(
        path, preprocess=data.preprocess, classes=data.classes, target_name="label", task="classification"
    )
    assert y is not None and torch.equal(x, data.x_test) and torch.equal(y, data.y_test)


def test_parquet_without_the_label_column_lists_what_there_is(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", 20)
    with pytest.raises(BadData, match="no column 'kind'; it has image, label"):
        load_dataset(str(tmp_path / "a.parquet"), target="kind")


def test_cifar_rows_decode_as_pillow_decodes_them(shared_data: Path) -> None:
    head = pq.ParquetFile(shared_data / "cifar10_jpeg75_test.parquet").read_row_group(0).slice(0, 50)
    cells = [cell["bytes"] for cell in head.column("image").to_pylist()]
    array = read_images(cells, [str(at) for at in range(len(cells))])
    assert array.shape == (len(cells), 3, 32, 32)
    assert np.array_equal(array[7].transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(cells[7]))))


def test_every_layout_encodes_to_the_same_tensor() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5), dtype=np.uint8)
    preprocess = fit_images(images)
    expected = torch.from_numpy(images)
    for raw in (images, images.transpose(0, 2, 3, 1), images.reshape(9, -1), images.astype(float), expected):
        assert torch.equal(preprocess.encode(raw), expected)
    frozen = images.copy()
    frozen.flags.writeable = False
    assert torch.equal(preprocess.encode(frozen), expected)
    cells = [png(row, (5, 4)) for row in range(3)]
    assert preprocess.encode(pd.DataFrame({"image": cells})).shape == (3, 3, 4, 5)


def test_images_of_another_shape_or_scale_are_refused() -> None:
    preprocess = fit_images(np.random.default_rng(0).integers(0, 256, (9, 1, 4, 5), dtype=np.uint8))
    with pytest.raises(BadData, match=r"got \(9, 5, 4\)"):
        preprocess.encode(np.zeros((9, 5, 4)))
    with pytest.raises(BadData, match="multiply them back"):
        preprocess.encode(np.random.default_rng(0).random((9, 4, 5)))
    with pytest.raises(BadData, match="finite"):
        preprocess.encode(np.full((9, 4, 5), np.nan))
    with pytest.raises(BadData, match="array of numbers"):
        preprocess.encode(np.full((9, 4, 5), "a"))


def test_the_module_standardizes_each_channel() -> None:
    images = as_images(np.random.default_rng(0).normal([[[0, 5, 9]]], [[[1, 2, 3]]], (200, 4, 4, 3)))
    out = fit_images(images).module()(torch.from_numpy(images))
    assert torch.allclose(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(out.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3)


def test_image_preprocessing_round_trips_through_json() -> None:
    preprocess = ImagePreprocess(1, 8, 8, (4.884,), (6.017,), "uint8")
    assert preprocess_from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess
