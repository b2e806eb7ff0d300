"""What a look at a data set says: the same that loading it does, and what to beware of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steerage.data import load_dataset
from steerage.data.build import raw_from_arrays
from steerage.data.inspect import Report, inspect_data, inspect_raw
from steerage.errors import BadData

ROWS = 200
RNG = np.random.default_rng(0)
LABELS = np.where(np.arange(ROWS) % 4 == 0, "yes", "no")


def report(y: object = LABELS, **columns: object) -> Report:
    noise = {"noise": RNG.normal(size=ROWS)}
    return inspect_raw(raw_from_arrays("made", pd.DataFrame({**noise, **columns}), y))


def found(seen: Report, what: str) -> list[str | None]:
    return [finding.column for finding in seen.findings if finding.what == what]


@pytest.mark.parametrize("name", ["iris", "diabetes", "digits"])
def test_a_look_sees_what_loading_gives(name: str) -> None:
    seen, dataset = inspect_data(name), load_dataset(name)
    assert (seen.train_rows, seen.test_rows) == (len(dataset.y), len(dataset.y_test))
    assert seen.input_shape == dataset.spec.input_shape
    assert seen.task == dataset.spec.task
    assert tuple(seen.classes) == dataset.classes


def test_columns_are_described_by_the_training_rows() -> None:
    day = (pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) % 60, unit="D")).strftime("%Y-%m-%d")
    seen = report(
        day=day,
        flag=np.arange(ROWS) % 3 == 0,
        site=np.array(list("abc"))[np.arange(ROWS) % 3],
        count=np.arange(ROWS) % 7,
        gaps=np.where(np.arange(ROWS) % 2 == 0, np.nan, RNG.normal(size=ROWS)),
        same=1,
    )
    by_name = {column.name: column for column in seen.columns}
    types = ["number", "date", "true/false", "text", "whole number", "number", "whole number"]
    assert [column.type for column in seen.columns] == types
    assert by_name["gaps"].missing == pytest.approx(0.5, abs=0.1)
    assert by_name["site"].distinct == 3 and by_name["site"].features == 3
    assert by_name["same"].treatment == "left out: constant" and by_name["same"].features == 0
    assert seen.input_shape == (sum(column.features for column in seen.columns),)


def test_nothing_is_said_of_ordinary_data() -> None:
    assert report().findings == ()


@pytest.mark.parametrize("name", ["anything", "patient_id"])
def test_a_column_that_counts_the_rows_is_an_id(name: str) -> None:
    numbers = np.arange(ROWS) + 7 if name == "anything" else np.arange(ROWS) * 3
    assert found(report(**{name: RNG.permutation(numbers)}), "id") == [name]


def test_a_quantity_that_differs_in_every_row_is_no_id() -> None:
    assert found(report(income=RNG.permutation(np.arange(ROWS) * 3)), "id") == []


def test_a_column_that_renames_the_classes_is_a_copy_of_the_target() -> None:
    assert found(report(alarm=np.where(LABELS == "yes", 9, 4)), "copy") == ["alarm"]


def test_a_column_that_equals_a_measured_target_is_a_copy_of_it() -> None:
    y = RNG.normal(size=ROWS)
    assert found(report(y, again=y), "copy") == ["again"]


def test_a_column_with_several_values_for_each_class_tells_the_target() -> None:
    codes = np.where(LABELS == "yes", RNG.integers(0, 5, ROWS), RNG.integers(5, 9, ROWS))
    assert found(report(code=codes), "tells") == ["code"]


def test_a_column_that_helps_does_not_tell_the_target() -> None:
    assert found(report(hint=(LABELS == "yes") * 2 + RNG.normal(size=ROWS)), "tells") == []


def test_rows_of_both_parts_are_counted_once_by_their_inputs_alone() -> None:
    x, y = RNG.normal(size=(100, 3)), np.arange(100) % 2
    test, test_y = np.concatenate([x[:7], RNG.normal(size=(13, 3))]), np.arange(20) % 2
    seen = inspect_raw(raw_from_arrays("made", x, y, test, test_y))
    (overlap,) = (finding for finding in seen.findings if finding.what == "overlap")
    assert overlap.message.startswith("7 of 20 test rows (35.0 %)")
    assert found(seen, "contradiction") == []
    seen = inspect_raw(raw_from_arrays("made", x, y, test, 1 - test_y))
    assert found(seen, "contradiction") == [None]


def test_images_of_both_parts_are_found() -> None:
    x = RNG.integers(0, 255, (50, 6, 6), dtype=np.uint8)
    seen = inspect_raw(raw_from_arrays("made", x, np.arange(50) % 2, x[:5], np.arange(5) % 2))
    assert found(seen, "overlap") == [None]
    assert seen.input_shape == (1, 6, 6)


def test_uneven_and_rare_classes_are_told() -> None:
    y = np.array(["often"] * (ROWS - 6) + ["seldom"] * 6)
    seen = report(y)
    assert found(seen, "uneven") == [None] and found(seen, "rare") == [None]


def test_a_fault_in_a_column_is_told_and_the_others_are_still_seen() -> None:
    cells = [str(value) for value in RNG.integers(0, 50, ROWS)]
    cells[3] = "oops"
    seen = report(bad=cells)
    assert found(seen, "fault") == ["bad"]
    assert [column.type for column in seen.columns] == ["number", "faulty"]
    assert seen.task == "classification"


def test_a_target_that_cannot_be_used_is_told() -> None:
    seen = report(np.full(ROWS, 3))
    assert seen.task is None and len(found(seen, "fault")) == 1


def test_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text("a,b\n" + "".join(f"{row % 17},{'xy'[row % 2] if row > 3 else ''}\n" for row in range(50)))
    seen = inspect_data(str(file))
    assert (seen.rows, seen.unlabelled) == (46, 4)


def test_a_source_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadData, match="no file or data set"):
        inspect_data("nowhere.csv")


def test_dates_that_are_read_as_text_are_named() -> None:
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) % 90, unit="D")
    seen = report(
        iso=days.strftime("%Y-%m-%d"),
        german=days.strftime("%d.%m.%Y"),
        american=days.strftime("%m/%d/%y %H:%M"),
        version=[f"1.2.{at % 7}" for at in range(ROWS)],
    )
    assert found(seen, "date") == ["german", "american"]
