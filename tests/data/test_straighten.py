"""Images that are put upright by their moments, and the choice to do so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.data.images import ImagePreprocess, fit_images
from steerage.data.preprocess import preprocess_from_json
from steerage.data.straighten import Straighten, can_straighten
from steerage.data.straightened import is_straightened, straightened
from steerage.errors import BadArgument, BadBundle
from tasks import bars as drawn


def in_integers(image: np.ndarray, background: int) -> np.ndarray:
    """The same of one image (c, h, w), step by step in Python's integers, as a processor does it."""
    _, height, width = image.shape
    total = down = across = tall = leaning = 0
    for channel, row, column in np.ndindex(image.shape):
        mass = abs(int(image[channel, row, column]) - background)
        total, down, across = total + mass, down + mass * row, across + mass * column
        tall, leaning = tall + mass * row * row, leaning + mass * row * column
    slant = first = first_row = 0
    if total > 0 and tall - down * down // total > 0:
        tall, leaning = tall - down * down // total, leaning - across * down // total
        slant = abs(leaning) * 65536 // tall * (1 if leaning > 0 else -1)
        slant = max(-65536, min(65536, slant))
        first_row = down * 65536 // total - (height - 1) * 32768
        first = across * 65536 // total - (width - 1) * 32768 - (slant * (height - 1) >> 1)
    made = np.zeros_like(image)
    for channel, row, column in np.ndindex(image.shape):
        y, x = (row << 8) + (first_row + 128 >> 8), (column << 8) + (row * slant + first + 128 >> 8)
        mixed = 1 << 15
        for k, j in np.ndindex(2, 2):
            inside = 0 <= (y >> 8) + k < height and 0 <= (x >> 8) + j < width
            pixel = int(image[channel, (y >> 8) + k, (x >> 8) + j]) if inside else background
            mixed += pixel * ((y & 255) if k else 256 - (y & 255)) * ((x & 255) if j else 256 - (x & 255))
        made[channel, row, column] = mixed >> 16
    return made


def moments(image: Tensor) -> tuple[float, float, float]:
    """Centre (row, column) of an image (h, w), and by how many columns it leans a row."""
    mass = image.double()
    rows, columns = torch.meshgrid(*(torch.arange(size).double() for size in mass.shape), indexing="ij")
    total = mass.sum()
    y, x = float((mass * rows).sum() / total), float((mass * columns).sum() / total)
    return y, x, float((mass * (rows - y) * (columns - x)).sum() / (mass * (rows - y) ** 2).sum())


def test_what_is_drawn_stands_upright_in_the_middle() -> None:
    images = drawn(20, seed=0, slant=0.5)[0]
    before = [moments(one) for one in torch.from_numpy(images)]
    after = [moments(one) for one in Straighten(0).module()(torch.from_numpy(images)[:, None])[:, 0]]
    assert max(abs(lean) for _, _, lean in before) > 0.3
    assert max(abs(lean) for _, _, lean in after) < 0.03
    assert np.allclose([one[:2] for one in after], 9.5, atol=0.1)


@pytest.mark.parametrize(("shape", "background"), [((1, 16, 19), 0), ((3, 17, 16), 255), ((2, 20, 16), 90)])
def test_it_is_what_integers_make_of_it(shape: tuple[int, int, int], background: int) -> None:
    rng = np.random.default_rng(shape[0])
    noise = rng.integers(0, 256, (6, *shape)).astype(np.uint8)
    images = np.where(rng.random((6, 1, *shape[1:])) < 0.15, noise, background).astype(np.uint8)
    images[0] = noise[0]
    images[1, :, np.arange(14), np.arange(14)] = 7  # leans by 45 degrees
    made = Straighten(background).module()(torch.from_numpy(images))
    assert made.dtype == torch.float32
    assert np.array_equal(made.numpy(), np.stack([in_integers(image, background) for image in images]))


@pytest.mark.parametrize("background", [0, 40])
def test_images_without_anything_or_of_a_single_row_stay_as_they_are(background: int) -> None:
    images = torch.full((2, 1, 16, 16), background, dtype=torch.uint8)
    images[1, 0, 5, 3:9] = 200
    assert torch.equal(Straighten(background).module()(images), images.float())
    assert Straighten(background).module()(images[:0]).shape == (0, 1, 16, 16)


def test_small_and_very_large_images_are_not_for_it() -> None:
    assert can_straighten((1, 28, 28))
    assert can_straighten((3, 128, 128))
    assert not can_straighten((1, 15, 28))
    assert not can_straighten((3, 224, 224))


def test_it_is_kept_with_the_preprocessing() -> None:
    images, _ = drawn(30, seed=1, slant=0.5)
    x = Straighten(0).of_bytes(torch.from_numpy(images[:, None]))
    plain, made = fit_images(images[:, None]), fit_images(x.numpy(), Straighten(0))
    document = json.loads(json.dumps(made.to_json()))
    assert preprocess_from_json(document) == made
    assert "straighten" not in plain.to_json()  # as before there was any
    assert preprocess_from_json(plain.to_json()) == plain
    seen = made.module()(made.encode(images))
    assert float(seen.mean()) == pytest.approx(0.0, abs=1e-3)  # normalized as straightened
    assert float(seen.std()) == pytest.approx(1.0, abs=1e-2)


@pytest.mark.parametrize(
    "damage",
    [
        {"straighten": {"background": 300}},
        {"straighten": {}},
        {"straighten": "upright"},
        {"dtype": "float32"},
        {"height": 8},
    ],
)
def test_a_damaged_file_is_told(damage: dict[str, Any]) -> None:
    images, _ = drawn(30, seed=1, slant=0.5)
    document = {**fit_images(images[:, None], Straighten(0)).to_json(), **damage}
    with pytest.raises(BadBundle, match="preprocessing is damaged"):
        preprocess_from_json(document)


def dataset(*, slant: float = 0.9, **changes: Any) -> Dataset:
    images, labels = drawn(900, seed=2, slant=slant)
    return dataset_from_arrays(changes.get("x", images), changes.get("y", labels), name="bars")


def test_images_are_straightened_where_their_neighbours_gain() -> None:
    data = dataset()
    made = straightened(data)
    assert is_straightened(made.preprocess)
    assert not is_straightened(data.preprocess)
    assert made.fingerprint == data.fingerprint  # of the rows as they came
    assert torch.equal(straightened(data).x, made.x)
    assert made.x.dtype == torch.uint8
    assert torch.equal(made.x_test.float(), Straighten(0).module()(data.x_test))
    # A network sees in training what it sees of its owner's rows.
    assert torch.equal(made.prepare(made.x), made.preprocess.module()(data.x))
    assert torch.equal(made.prepare_train(made.x, torch.Generator(), 0.0), made.prepare(made.x))
    assert straightened(data, False) is data


def test_images_whose_slant_is_the_class_stay_as_they_are() -> None:
    images, _ = drawn(900, seed=3, slant=0.9, classes=1)
    leans = np.array([moments(torch.from_numpy(image))[2] > 0 for image in images]).astype(int)
    data = dataset(x=images, y=leans)
    assert straightened(data) is data
    assert is_straightened(straightened(data, True).preprocess)


def test_nothing_is_chosen_without_classes_or_a_background() -> None:
    images, labels = drawn(900, seed=2, slant=0.9)
    numbers = dataset(y=labels + np.random.default_rng(0).normal(size=900))
    assert straightened(numbers) is numbers
    assert is_straightened(straightened(numbers, True).preprocess)
    photographs = dataset(x=np.random.default_rng(0).integers(0, 256, images.shape).astype(np.uint8))
    assert straightened(photographs) is photographs


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (np.random.default_rng(0).normal(size=(900, 4)), "it has no images"),
        (drawn(900, seed=2, slant=0.9)[0] / 255.0, "its pixels are no bytes"),
        (drawn(900, seed=2, slant=0.9)[0][:, 3:15, 3:15], "12 x 12 pixels are too small or too large"),
        (np.random.default_rng(0).integers(0, 256, (900, 16, 16)).astype(np.uint8), "nothing is drawn"),
    ],
)
def test_what_cannot_be_straightened_is_refused(x: np.ndarray, why: str) -> None:
    data = dataset(x=x)
    assert straightened(data) is data
    with pytest.raises(BadArgument, match=f"bars cannot be straightened: .*{why}.*; leave it out"):
        straightened(data, True)


def test_images_on_white_are_straightened_alike() -> None:
    images = drawn(900, seed=2, slant=0.9)[0]
    made = straightened(dataset(x=255 - images))
    assert isinstance(made.preprocess, ImagePreprocess)
    assert made.preprocess.straighten == Straighten(255)
    dark = replace(fit_images(images[:, None], Straighten(0)), mean=(0.0,), std=(1.0,)).module()
    white = replace(made.preprocess, mean=(0.0,), std=(1.0,)).module()
    x = torch.from_numpy(images[:50, None])
    assert float((dark(x) - (255 - white(255 - x))).abs().max()) <= 1.0  # halves are rounded up
