"""Signals: how they are told from images and tables, their layout, normalization and augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from steerage.data import dataset_from_arrays, load_dataset, preprocess_from_json
from steerage.data.load import load_labelled
from steerage.data.signals import SignalAugment, SignalPreprocess, as_signals
from steerage.errors import BadArgument, BadBundle, BadData

RNG = np.random.default_rng(0)
ROWS, CHANNELS, LENGTH = 40, 3, 16
X = (RNG.normal(size=(ROWS, CHANNELS, LENGTH)) * [[1.0], [5.0], [0.1]] + [[0.0], [100.0], [-3.0]]).astype(np.float32)
Y = np.arange(ROWS) % 2


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("x", [X, X.transpose(0, 2, 1), torch.from_numpy(X)], ids=["channels first", "last", "tensor"])
def test_signals_have_channels_first(x: object) -> None:
    data = dataset_from_arrays(x, Y, kind="signal")
    assert data.spec.kind == "signal" and data.spec.input_shape == (CHANNELS, LENGTH)
    assert data.x.dtype == torch.float32 and data.x.shape[1:] == (CHANNELS, LENGTH)
    normal = data.prepare(data.x)
    assert torch.allclose(normal.mean((0, 2)), torch.zeros(CHANNELS), atol=1e-4)
    assert torch.allclose(normal.std((0, 2)), torch.ones(CHANNELS), atol=1e-2)


def test_rows_of_numbers_are_signals_of_one_channel() -> None:
    assert dataset_from_arrays(X[:, 0], Y, kind="signal").spec.input_shape == (1, LENGTH)


def test_three_axes_are_grey_images_unless_told_otherwise() -> None:
    assert dataset_from_arrays(X, Y).spec.kind == "image"


def test_an_archive_may_say_that_it_holds_signals(tmp_path: Path) -> None:
    np.savez(tmp_path / "told.npz", x=X, y=Y, kind="signal")
    np.savez(tmp_path / "untold.npz", x=X, y=Y)
    told = load_dataset(str(tmp_path / "told.npz"))
    asked = load_dataset(str(tmp_path / "untold.npz"), kind="signal")
    assert told.spec == asked.spec and told.spec.kind == "signal"
    assert told.fingerprint == asked.fingerprint
    np.savez(tmp_path / "odd.npz", x=X, y=Y, kind="sound")
    with pytest.raises(BadData, match="must have one of table, image, signal as its kind"):
        load_dataset(str(tmp_path / "odd.npz"))


def test_rows_of_a_table_may_be_signals(tmp_path: Path) -> None:
    file = tmp_path / "series.csv"
    lines = [",".join([*(f"{value:.5f}" for value in row), "ab"[code]]) for row, code in zip(X[:, 0], Y, strict=True)]
    file.write_text("\n".join([",".join([*(f"t{at}" for at in range(LENGTH)), "label"]), *lines]) + "\n")
    assert load_dataset(str(file)).spec.kind == "table"
    data = load_dataset(str(file), kind="signal")
    assert data.spec.input_shape == (1, LENGTH) and data.classes == ("a", "b")
    x, y = load_labelled(
        str(file), preprocess=data.preprocess, classes=data.classes, target_name="label", task="classification"
    )
    assert torch.equal(x, data.x_test) and y is not None and torch.equal(y, data.y_test)


def recordings(folder: Path, *, rows: int = LENGTH) -> Path:
    for at in range(12):
        place = folder / "ab"[at % 2]
        place.mkdir(parents=True, exist_ok=True)
        lines = [",".join(map(str, X[at, :, step])) for step in range(rows if at == 7 else LENGTH)]
        (place / f"{at:02}.csv").write_text("\n".join(["x,y,z", *lines]) + "\n")
    return folder


def test_a_folder_of_recordings_per_class_is_signals(tmp_path: Path) -> None:
    data = load_dataset(str(recordings(tmp_path / "train_me")))
    assert data.spec.kind == "signal" and data.spec.input_shape == (CHANNELS, LENGTH)
    assert data.classes == ("a", "b")
    rows = torch.cat([data.x, data.x_test]).numpy()
    assert all(np.isclose(rows, X[at], rtol=1e-5).all((1, 2)).sum() == 1 for at in range(12))


def in_groups(folder: Path) -> dict[int, str]:
    """All windows, of four persons who do both things; the person of each window."""
    persons = {at: f"person {at // 2 % 4}" for at in range(ROWS)}
    for at, person in persons.items():
        place = folder / "ab"[at % 2] / person
        place.mkdir(parents=True, exist_ok=True)
        lines = [",".join(map(str, X[at, :, step])) for step in range(LENGTH)]
        (place / f"{at:02}.csv").write_text("\n".join(["x,y,z", *lines]) + "\n")
    return persons


def test_folders_in_those_of_classes_are_groups_that_are_never_parted(tmp_path: Path) -> None:
    persons = in_groups(tmp_path)
    data = load_dataset(str(tmp_path))
    assert data.classes == ("a", "b") and data.groups is not None

    def whose(rows: torch.Tensor) -> list[str]:
        return [persons[int(np.isclose(X, row, rtol=1e-5).all((1, 2)).argmax())] for row in rows.numpy()]

    learnt, tested = whose(data.x), whose(data.x_test)
    assert set(tested) and set(learnt) == {*persons.values()} - set(tested) and len(learnt) + len(tested) == ROWS
    assert [*map(learnt.index, learnt)] == [data.groups.tolist().index(group) for group in data.groups.tolist()]
    known = {"preprocess": data.preprocess, "classes": data.classes, "target_name": None}
    x, _ = load_labelled(str(tmp_path), **known, task="classification")
    assert torch.equal(x, data.x_test)


def test_a_test_folder_of_groups_stays_as_it_is(tmp_path: Path) -> None:
    in_groups(tmp_path / "train")
    place = tmp_path / "test" / "a" / "person 0"
    place.mkdir(parents=True)
    (place / "a.csv").write_bytes((tmp_path / "train/a/person 0/00.csv").read_bytes())
    data = load_dataset(str(tmp_path))
    assert len(data.x) == ROWS and len(data.x_test) == 1 and data.groups is not None


def test_files_beside_folders_of_groups_are_refused(tmp_path: Path) -> None:
    in_groups(tmp_path)
    (tmp_path / "b/loose.csv").write_bytes((tmp_path / "b/person 0/01.csv").read_bytes())
    with pytest.raises(BadData, match=r"b/loose.csv and b/person 3/\d+.csv differ in that, move one of them"):
        load_dataset(str(tmp_path))


def test_one_group_is_none(tmp_path: Path) -> None:
    for at in range(20):
        place = tmp_path / "ab"[at % 2] / "all"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at}.csv").write_text("x\n" + "\n".join(map(str, X[at, 0])) + "\n")
    with pytest.raises(BadData, match="folders of groups must tell at least 2 groups apart, got only 'all'"):
        load_dataset(str(tmp_path))


def test_recordings_of_unlike_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"07.csv must have 16 rows, as .* has, got 9; cut recordings into windows"):
        load_dataset(str(recordings(tmp_path, rows=9)))


def test_tables_and_images_are_no_signals() -> None:
    with pytest.raises(BadData, match="must be signal data as asked, but it is image data"):
        load_dataset("digits", kind="signal")
    with pytest.raises(BadData, match="must be image data as asked, but it is table data"):
        load_dataset("iris", kind="image")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((12, 2, 3, 4)), "signals must have shape"),
        (np.full((12, 2, 9), np.nan), "signals must be finite, got NaN or infinity in row 0"),
        (np.full((12, 2, 9), "a"), "signals must be an array of numbers"),
        (np.zeros((12, 0, 9)), "signals must have channels"),
    ],
)
def test_other_arrays_are_refused(x: np.ndarray, message: str) -> None:
    with pytest.raises(BadData, match=message):
        as_signals(x)


def test_a_test_part_must_be_alike() -> None:
    with pytest.raises(BadData, match="the channels and the length of x"):
        dataset_from_arrays(X, Y, x_test=X[:, :, :12], y_test=Y, kind="signal")


def test_later_signals_may_have_either_layout() -> None:
    preprocess = dataset_from_arrays(X, Y, kind="signal").preprocess
    assert torch.equal(preprocess.encode(X.transpose(0, 2, 1)), preprocess.encode(X))
    with pytest.raises(BadData, match=r"must have shape \(n, 3, 16\) or \(n, 16, 3\), got \(40, 3, 12\)"):
        preprocess.encode(X[:, :, :12])


def test_square_signals_have_channels_first() -> None:
    square = RNG.normal(size=(20, 4, 4))
    preprocess = dataset_from_arrays(square, Y[:20], kind="signal").preprocess
    assert np.allclose(preprocess.encode(square), square, atol=1e-6)


def test_preprocessing_comes_back_from_json() -> None:
    preprocess = dataset_from_arrays(X, Y, kind="signal").preprocess
    assert isinstance(preprocess, SignalPreprocess)
    assert preprocess_from_json(preprocess.to_json()) == preprocess
    with pytest.raises(BadBundle, match="signal"):
        preprocess_from_json({**preprocess.to_json(), "std": [1.0]})


def test_a_channel_that_never_changes_is_left_as_it_is() -> None:
    x = X.copy()
    x[:, 1] = 7.0
    data = dataset_from_arrays(x, Y, kind="signal")
    assert data.prepare(data.x).isfinite().all()


def test_augmentation_moves_scales_and_shakes_within_its_limits() -> None:
    x = torch.linspace(-1, 1, 100).expand(50, 2, 100)
    assert SignalAugment().apply(x, generator()) is x
    moved = SignalAugment(shift=0.1).apply(x, generator())
    steps = ((moved[:, :, 50] - x[:, :, 50]) / (x[0, 0, 1] - x[0, 0, 0])).round()
    assert steps.abs().max() == 10 and (steps[:, 0] == steps[:, 1]).all()
    factors = SignalAugment(scale=0.2).apply(x, generator())[:, :, -1]
    assert 0.8 <= factors.min() < 0.85 and 1.15 < factors.max() <= 1.2 and not torch.equal(factors[:, 0], factors[:, 1])
    noise = SignalAugment(jitter=0.3).apply(x, generator()) - x
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)


def test_augmentation_is_of_normalized_signals_and_follows_the_recipe() -> None:
    data = dataset_from_arrays(X, Y, kind="signal")
    assert data.augment.active
    assert torch.equal(data.prepare_train(data.x, generator(), 0.0), data.prepare(data.x))
    varied = data.prepare_train(data.x, generator(), 1.0)
    assert torch.equal(varied, data.prepare_train(data.x, generator(), 1.0))
    assert not torch.equal(varied, data.prepare(data.x))
    assert float(varied.abs().max()) < 10  # in standard deviations, though a channel is about 100


def test_augmentation_outside_its_range_is_refused() -> None:
    with pytest.raises(BadArgument, match="shift must be in"):
        SignalAugment(shift=0.7)
    assert SignalAugment(shift=0.4, jitter=0.8).scaled(10) == SignalAugment(shift=0.5, jitter=1.0)
