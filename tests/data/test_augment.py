"""Augmentation: a batch at a time, repeatable, and no more than was asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from steerage.data import Augment, load_dataset
from steerage.data.augment import apply, augment_for, scaled
from steerage.errors import BadArgument

AFFINE = Augment(shift=0.1, rotate=15, scale=0.1, shear=8)
ELASTIC = Augment(elastic=0.05)
CROP = Augment(shift=0.125, flip=True, fill="reflect")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 16, channels: int = 3, height: int = 8, width: int = 10) -> torch.Tensor:
    return torch.rand(n, channels, height, width, generator=generator(99)) + 0.1


@pytest.mark.parametrize(
    "augment", [AFFINE, ELASTIC, CROP, Augment(cutout=0.4), Augment(shift=0.2), Augment(flip=True)]
)
def test_the_same_generator_state_gives_the_same_images(augment: Augment) -> None:
    x = images()
    first, again, other = (apply(x, augment, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == x.shape and torch.equal(x, images())


def test_nothing_asked_is_nothing_changed() -> None:
    assert torch.equal(apply(images(), Augment(), generator()), images())
    assert not Augment(fill="reflect").active


def test_flips_mirror_whole_images_about_half_the_time() -> None:
    x = images(400)
    out = apply(x, Augment(flip=True), generator())
    mirrored = (out == x.flip(3)).flatten(1).all(dim=1)
    assert torch.equal(out[~mirrored], x[~mirrored])
    assert 150 < int(mirrored.sum()) < 250


def test_whole_pixel_shifts_move_pixels_and_fill_with_zeros() -> None:
    x = images(200, 1, 8, 8)
    out = apply(x, Augment(shift=0.25), generator())
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2))
    candidates = torch.stack([padded[:, :, dy : dy + 8, dx : dx + 8] for dy in range(5) for dx in range(5)])
    found = (candidates == out).flatten(2).all(dim=2)  # (25, n)
    assert found.any(dim=0).all() and found.any(dim=1).all()


def test_reflected_shifts_bring_in_mirrored_pixels() -> None:
    x = images(50, 3, 8, 8)
    out = apply(x, Augment(shift=0.125, fill="reflect"), generator())
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
    candidates = torch.stack([padded[:, :, dy : dy + 8, dx : dx + 8] for dy in range(3) for dx in range(3)])
    assert (candidates == out).flatten(2).all(dim=2).any(dim=0).all()


def test_whole_pixel_changes_keep_uint8() -> None:
    x = (images() * 100).to(torch.uint8)
    out = apply(x, CROP, generator())
    assert out.dtype == torch.uint8
    assert torch.equal(out.float(), apply(x.float(), CROP, generator()))


def test_rotation_keeps_shapes_round_on_oblong_images() -> None:
    rows, columns = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(40) - 19.5, indexing="ij")
    disc = torch.exp(-(rows**2 + columns**2) / 18).expand(8, 1, 20, 40)
    out = apply(disc, Augment(rotate=45), generator())
    assert torch.allclose(out, disc, atol=0.03)


def test_small_affine_changes_are_small() -> None:
    x = torch.nn.functional.avg_pool2d(images(height=20, width=20), 5, 1)
    out = apply(x, Augment(rotate=0.01, shift=0.0001), generator())
    assert torch.allclose(out[:, :, 2:-2, 2:-2], x[:, :, 2:-2, 2:-2], atol=0.01)


def moved(augment: Augment, n: int = 400, height: int = 28, width: int = 28) -> torch.Tensor:
    """How far each inner pixel was moved, across and down, as fractions of the size: (n, 2, h, w)."""
    across = (torch.arange(width) + 0.5).div(width).expand(height, width)
    down = (torch.arange(height) + 0.5).div(height)[:, None].expand(height, width)
    ramps = torch.stack((across, down)).expand(n, 2, height, width)
    return (apply(ramps, replace(augment, fill="border"), generator()) - ramps)[:, :, 6:-6, 6:-6]


@pytest.mark.parametrize(("height", "width"), [(28, 28), (48, 20)])
def test_an_elastic_distortion_moves_pixels_as_far_as_asked_along_both_axes(height: int, width: int) -> None:
    away = moved(ELASTIC, height=height, width=width)
    assert away.square().mean(dim=(0, 2, 3)).sqrt().tolist() == pytest.approx([0.05, 0.05], rel=0.1)
    assert abs(float(away.mean())) < 0.005
    ours, others = away[:-1].flatten(), away[1:].flatten()
    assert abs(float((ours * others).mean())) < 0.1 * 0.05**2  # every image has its own


def test_an_elastic_distortion_is_smooth() -> None:
    away = moved(ELASTIC)
    near = (away[:, :, :, 1:] * away[:, :, :, :-1]).mean() / away.square().mean()
    far = (away[:, :, :, 14:] * away[:, :, :, :-14]).mean() / away.square().mean()
    assert near > 0.95
    assert abs(float(far)) < 0.3


def test_cutout_erases_at_most_the_square_asked_for() -> None:
    out = apply(images(200, 1, 10, 10), Augment(cutout=0.3), generator())
    erased = (out == 0).flatten(1).sum(dim=1)
    assert int(erased.max()) == 9 and int(erased.min()) >= 1


def test_digits_are_never_mirrored_and_photographs_are() -> None:
    assert not load_dataset("digits").augment.flip
    assert load_dataset("digits").augment.fill == "zeros"
    photos = augment_for(torch.randint(0, 256, (50, 3, 32, 32), generator=generator()).to(torch.uint8))
    assert photos.flip and photos.rotate == 0 and photos.fill == "reflect"
    drawings = torch.full((50, 1, 28, 28), 255, dtype=torch.uint8)
    drawings[:, :, 8:20, 8:20] = 0
    assert augment_for(drawings).fill == "border"


def test_tables_are_not_augmented() -> None:
    data = load_dataset("iris")
    assert not data.augment.active
    assert torch.equal(data.prepare_train(data.x, generator()), data.x)


def test_prepare_train_augments_before_it_normalizes() -> None:
    data = load_dataset("digits")
    x = data.x[:32]
    expected = data.prepare(apply(x, data.augment, generator(5)))
    assert torch.equal(data.prepare_train(x, generator(5)), expected)
    assert torch.equal(data.prepare_train(x, generator(5), 0.0), data.prepare(x))


def test_strength_scales_every_distance_up_to_its_limit() -> None:
    assert scaled(AFFINE, 0) == Augment()
    assert scaled(AFFINE, 1) == AFFINE
    assert scaled(AFFINE, 0.5).rotate == 7.5
    assert scaled(AFFINE, 100).shift == 0.5
    assert scaled(ELASTIC, 0.5).elastic == 0.025
    assert scaled(ELASTIC, 100).elastic == 0.2


@pytest.mark.parametrize(
    "wrong", [{"shift": -0.1}, {"elastic": 0.3}, {"rotate": 90}, {"cutout": 1.5}, {"fill": "white"}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadArgument, match=next(iter(wrong))):
        Augment(**wrong)  # type: ignore[arg-type]
