"""Rows that belong together stay together, in every part that is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from steerage.data import dataset_from_arrays, load_dataset, load_labelled
from steerage.data.groups import group_texts, held_groups
from steerage.data.inspect import inspect_data
from steerage.errors import BadData
from steerage.training.split import validation_split

RNG = np.random.default_rng(0)
PEOPLE = np.repeat(np.arange(20), RNG.integers(5, 30, 20))
ROWS = len(PEOPLE)
NOISE = RNG.normal(size=ROWS)
KIND = np.where(RNG.random(ROWS) < 0.3, "walk", "run")


def steps(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"noise": NOISE, "person": PEOPLE, **columns, "kind": KIND})


def test_about_the_share_is_held_out_in_whole_groups() -> None:
    labels = (KIND == "walk").astype(np.int64)
    for seed in range(20):
        held = held_groups(PEOPLE, labels, share=0.2, rng=np.random.default_rng(seed))
        assert not set(PEOPLE[held]) & set(PEOPLE[~held])
        assert 0.1 < held.mean() < 0.3
        assert abs(labels[held].mean() - labels.mean()) < 0.15


def test_other_seeds_hold_out_other_groups() -> None:
    held = [set(PEOPLE[held_groups(PEOPLE, None, share=0.2, rng=np.random.default_rng(seed))]) for seed in range(5)]
    assert len({frozenset(one) for one in held}) > 1


def test_a_class_is_never_held_out_as_a_whole() -> None:
    groups = np.repeat(np.arange(6), 10)
    labels = (groups == 3).astype(np.int64)  # one machine alone has the fault
    for seed in range(20):
        held = held_groups(groups, labels, share=0.3, rng=np.random.default_rng(seed))
        assert held.any() and not held[groups == 3].any()


def test_few_large_groups_can_be_parted() -> None:
    held = held_groups(np.array([0] * 5 + [1] * 5), None, share=0.2, rng=np.random.default_rng(0))
    assert held.sum() == 5
    for seed in range(10):
        groups = np.array([0] * 80 + [1] * 10 + [2] * 10)
        held = held_groups(groups, None, share=0.2, rng=np.random.default_rng(seed), least=2)
        assert len(set(groups[~held])) == 2


def test_groups_that_have_a_class_each_cannot_be_parted() -> None:
    groups = np.repeat(np.arange(4), 10)
    with pytest.raises(BadData, match="each has all rows of a class"):
        held_groups(groups, groups.astype(np.int64), share=0.2, rng=np.random.default_rng(0))


def test_neither_test_nor_validation_rows_have_a_training_group() -> None:
    data = dataset_from_arrays(np.stack([PEOPLE.astype(float), NOISE], axis=1), KIND, groups=PEOPLE)
    assert data.groups is not None and len(data.groups) == len(data.y)
    assert 0.1 * ROWS < len(data.y_test) < 0.3 * ROWS
    assert not set(data.x[:, 0].tolist()) & set(data.x_test[:, 0].tolist())  # a number for each person
    for seed in range(3):
        train, validation = validation_split(data, seed)
        assert not set(data.x[train, 0].tolist()) & set(data.x[validation, 0].tolist())
        assert 0.1 * len(data.y) < len(validation) < 0.3 * len(data.y)
        assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(len(data.y)))


def test_quantities_and_several_targets_have_groups_too() -> None:
    for y in (NOISE, np.stack([NOISE, -NOISE], axis=1), np.stack([KIND == "walk", NOISE > 0], axis=1)):
        data = dataset_from_arrays(np.stack([PEOPLE.astype(float), NOISE], axis=1), y, groups=PEOPLE)
        assert len(data.y_test) > 0
        assert not set(data.x[:, 0].tolist()) & set(data.x_test[:, 0].tolist())


def test_the_fingerprint_is_of_the_groups_too() -> None:
    def mark(**options: object) -> str:
        data = dataset_from_arrays(NOISE[:, None] * [[1.0, 2.0]], KIND, hold_out=False, **options)  # type: ignore[arg-type]
        return data.fingerprint

    assert mark() != mark(groups=PEOPLE) == mark(groups=list(map(str, PEOPLE)))
    assert mark(groups=PEOPLE) != mark(groups=np.arange(ROWS))


def test_weights_do_not_merge_rows_of_different_groups() -> None:
    x = np.array([[0.0], [0.0], [0.0], [1.0]] * 10)
    groups = np.array([0, 1, 0, 1] * 10)
    data = dataset_from_arrays(x, x[:, 0] > 0.5, weights=np.ones(40), groups=groups, hold_out=False)
    assert data.groups is not None
    kinds = zip(data.x[:, 0].sign().tolist(), data.groups.tolist(), strict=True)
    assert set(kinds) == {(-1.0, 0), (-1.0, 1), (1.0, 1)}


def test_the_column_of_groups_is_no_input_and_eval_finds_the_same_test_rows(tmp_path: Path) -> None:
    steps(mark=PEOPLE * 1.5).to_csv(tmp_path / "steps.csv", index=False)
    data = load_dataset(str(tmp_path / "steps.csv"), group="person")
    assert data.group_name == "person"
    assert data.preprocess.source == ("noise", "mark")  # type: ignore[attr-defined]
    known = {"preprocess": data.preprocess, "classes": data.classes, "target_name": "kind", "task": "classification"}
    x, y = load_labelled(str(tmp_path / "steps.csv"), **known, group_name="person")  # type: ignore[arg-type]
    assert torch.equal(data.preprocess.module()(x), data.x_test)
    assert y is not None and torch.equal(y, data.y_test)
    pd.read_csv(tmp_path / "steps.csv").drop(columns="person").to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(BadData, match="no column 'person' to find its test rows by; evaluate all rows"):
        load_labelled(str(tmp_path / "bare.csv"), **known, group_name="person")  # type: ignore[arg-type]
    every, _ = load_labelled(str(tmp_path / "bare.csv"), **known, group_name="person", part="all")  # type: ignore[arg-type]
    assert len(every) == ROWS


def test_an_archive_has_its_groups_in_an_array(tmp_path: Path) -> None:
    x = np.repeat(PEOPLE[:, None, None], 8, axis=2) + RNG.random((ROWS, 2, 8))
    np.savez(tmp_path / "steps.npz", x=x, y=KIND, kind="signal", groups=PEOPLE)
    data = load_dataset(str(tmp_path / "steps.npz"))
    assert data.groups is not None
    assert not set(data.x[:, 0, 0].int().tolist()) & set(data.x_test[:, 0, 0].int().tolist())
    np.savez(tmp_path / "bad.npz", x=x, y=KIND, kind="signal", groups=PEOPLE[1:])
    with pytest.raises(BadData, match=f"groups must be one value per row, got {ROWS - 1} for {ROWS} rows"):
        load_dataset(str(tmp_path / "bad.npz"))
    with pytest.raises(BadData, match="has no columns, and a group"):
        load_dataset(str(tmp_path / "steps.npz"), group="person")


@pytest.mark.parametrize(
    ("change", "group", "message"),
    [
        ({}, "patient", "has no column 'patient' for groups; it has noise, person"),
        ({}, "kind", "the group must be another column than the target, got 'kind' for both"),
        ({"person": "all the same"}, "person", "must tell at least 2 groups apart, got only 'all the same'"),
        (
            {"person": np.where(PEOPLE == 3, np.nan, PEOPLE)},
            "person",
            "must have a value in every row, got none in row",
        ),
        ({"person": np.where(PEOPLE < 9, 1, 0)}, "person", "at least 3 groups, to train and to judge by, got 2"),
        ({"person": KIND}, "person", "at least 3 groups"),
    ],
)
def test_groups_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, object], group: str, message: str) -> None:
    steps(**change).to_csv(tmp_path / "steps.csv", index=False)
    with pytest.raises(BadData, match=message):
        load_dataset(str(tmp_path / "steps.csv"), group=group)


def test_a_table_of_groups_alone_is_refused(tmp_path: Path) -> None:
    steps()[["person", "kind"]].to_csv(tmp_path / "steps.csv", index=False)
    with pytest.raises(BadData, match="must have a column besides its target and its group"):
        load_dataset(str(tmp_path / "steps.csv"), group="person")


def test_groups_have_one_spelling() -> None:
    assert group_texts([1.0, 2.0, 1.0], 3).tolist() == ["1", "2", "1"]
    assert group_texts(pd.Series([True, "TRUE", 3]), 3).tolist() == ["True", "True", "3"]
    with pytest.raises(BadData, match=r"one value per row, shape \(3,\), got \(3, 1\)"):
        group_texts([[1], [2], [3]], 3)


def test_a_look_counts_groups_and_warns_of_those_in_both_parts(tmp_path: Path) -> None:
    frame = steps()
    frame.to_csv(tmp_path / "steps.csv", index=False)
    seen = inspect_data(str(tmp_path / "steps.csv"), group="person")
    assert seen.groups is not None and sum(seen.groups) == 20
    assert not [one for one in seen.findings if one.what == "group"]
    (hint,) = [one for one in inspect_data(str(tmp_path / "steps.csv")).findings if one.what == "group"]
    assert hint.column == "person" and "--group person" in hint.message
    frame[::2].to_parquet(tmp_path / "steps_train.parquet")
    frame[1::2].to_parquet(tmp_path / "steps_test.parquet")
    (shared,) = [
        one
        for one in inspect_data(str(tmp_path / "steps_train.parquet"), group="person").findings
        if one.what == "group"
    ]
    assert "100.0 %" in shared.message and "in the training part too" in shared.message
