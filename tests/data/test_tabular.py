"""Columns become numbers the same way for training rows and for every row that comes later."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from steerage.data import Preprocess, load_dataset, preprocess_from_json
from steerage.data.tablefit import fit_table
from steerage.errors import BadBundle, BadData


def transform(preprocess: Preprocess, frame: pd.DataFrame) -> np.ndarray:
    out: np.ndarray = preprocess.module()(preprocess.encode(frame)).numpy()
    return out


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_numbers_are_standardized() -> None:
    frame = table(a=np.random.default_rng(0).normal(50, 7, 500))
    out = transform(fit_table(frame), frame)
    assert out.shape == (500, 1)
    assert abs(out.mean()) < 1e-4 and abs(out.std() - 1) < 1e-4


def test_missing_numbers_become_the_training_median() -> None:
    frame = table(a=[*np.arange(1, 200.0), np.nan])  # half a percent: no indicator
    preprocess = fit_table(frame)
    out = transform(preprocess, table(a=[np.nan, 100.0]))
    assert out.shape == (2, 1) and out[0, 0] == out[1, 0]


def test_numbers_often_missing_get_an_indicator() -> None:
    frame = table(a=[1.0, 2.0, 3.0, np.nan] * 10)
    preprocess = fit_table(frame)
    assert preprocess.features == ("a", "a is missing")
    assert transform(preprocess, frame)[:4, 1].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("infinite", [np.inf, -np.inf, 1e300])
def test_infinite_values_are_missing(infinite: float) -> None:
    preprocess = fit_table(table(a=np.arange(100.0)))
    assert torch.isnan(preprocess.encode(table(a=[infinite]))).all()


def test_heavy_tails_are_pulled_in_and_outliers_clipped() -> None:
    values = np.random.default_rng(0).lognormal(0, 2, 2000)
    preprocess = fit_table(table(a=values))
    assert preprocess.columns[0].log_unit > 0
    out = transform(preprocess, table(a=[*values, 1e30]))
    assert np.sort(out[:-1, 0])[-20:].max() < 5
    assert out[-1, 0] == 8


def test_even_columns_get_no_logarithm() -> None:
    assert fit_table(table(a=np.arange(100.0))).columns[0].log_unit == 0


def test_categories_are_one_hot_in_alphabetical_order() -> None:
    frame = table(c=["b", "a", "c"] * 5)
    preprocess = fit_table(frame)
    assert preprocess.features == ("c = a", "c = b", "c = c")
    assert transform(preprocess, frame)[:3].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_unknown_categories_are_missing_and_all_zero() -> None:
    preprocess = fit_table(table(c=["a", "b", "c"] * 5))
    assert torch.isnan(preprocess.encode(table(c=["d"]))).all()
    assert transform(preprocess, table(c=["d", None])).tolist() == [[0, 0, 0]] * 2


def test_missing_categories_seen_in_training_are_their_own_feature() -> None:
    frame = table(c=["a", "b", None, "?"] * 5)
    preprocess = fit_table(frame)
    assert preprocess.features == ("c = a", "c = b", "c = missing")
    assert transform(preprocess, frame)[:4].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_two_categories_are_one_feature() -> None:
    frame = table(c=["yes", "no"] * 5, b=[True, False] * 5)
    assert transform(fit_table(frame), frame)[:2].tolist() == [[1, 1], [0, 0]]


def test_one_category_that_may_be_missing_is_one_feature() -> None:
    frame = table(c=["x", None] * 5)
    assert transform(fit_table(frame), frame)[:2].tolist() == [[0], [1]]


def test_many_categories_are_ranked_by_frequency() -> None:
    cells = [f"c{at:02}" for at in range(40) for _ in range(at + 1)]
    preprocess = fit_table(table(c=cells))
    column = preprocess.columns[0]
    assert (column.categories[0], column.one_hot) == ("c39", 0)
    out = transform(preprocess, table(c=["c39", "c20", "c00"]))[:, 0]
    assert out[0] < out[1] < out[2]


def test_useless_columns_are_left_out_with_a_warning() -> None:
    frame = table(a=np.arange(40.0), same=1.0, none=np.nan, word="w", key=[f"id{at}x" for at in range(40)])
    with pytest.warns(UserWarning, match=r"'same' \(constant\), 'none' \(empty\), 'word' \(constant\), 'key'"):
        assert fit_table(frame).features == ("a",)


def test_no_useful_column_is_an_error() -> None:
    with pytest.raises(BadData, match="a column to learn from"):
        fit_table(table(a=[1.0] * 20))


def test_a_little_text_among_numbers_names_the_cell() -> None:
    cells = [str(at) for at in range(100)]
    cells[41] = "abc"
    with pytest.raises(BadData, match="column 'a' must be numbers, got 'abc' in row 41"):
        fit_table(table(a=cells))


def test_much_text_among_numbers_makes_categories() -> None:
    cells = ["1", "2", "low"] * 10
    assert fit_table(table(a=cells)).features == ("a = 1", "a = 2", "a = low")


def test_text_that_stands_for_missing_does_not_spoil_numbers() -> None:
    preprocess = fit_table(table(a=["1", "2.5", "?", "NA", "", "NaN", " 4 "] * 5))
    assert preprocess.columns[0].kind == "number"
    assert preprocess.encode(table(a=["?", "4"]))[:, 0].isnan().tolist() == [True, False]


def test_text_later_in_a_column_of_numbers_is_an_error() -> None:
    preprocess = fit_table(table(a=np.arange(20.0)))
    with pytest.raises(BadData, match="got 'abc' in row 1"):
        preprocess.encode(table(a=["1", "abc"]))


def test_a_category_has_one_spelling_for_text_and_number() -> None:
    preprocess = fit_table(table(a=["1", "2", "low"] * 10))
    expected = preprocess.encode(table(a=["1", "2"]))
    for cells in ([1, 2], [1.0, 2.0], ["1.0", " 2"]):
        assert torch.equal(preprocess.encode(table(a=cells)), expected)


def test_dates_are_numbers() -> None:
    frame = table(d=pd.date_range("2024-01-01", periods=30))
    preprocess = fit_table(frame)
    assert preprocess.columns[0].kind == "number"
    assert preprocess.encode(table(d=pd.to_datetime(["2000-01-11"]))).item() == 10


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "float32", "int8"])
def test_number_types_all_encode_alike(dtype: str) -> None:
    preprocess = fit_table(table(a=np.arange(20.0)))
    cells = pd.Series([3, 4], dtype=dtype)
    assert preprocess.encode(table(a=cells)).tolist() == [[3], [4]]


def test_nullable_and_categorical_types_keep_their_gaps() -> None:
    frame = table(a=pd.array([1, None, 3] * 9, dtype="Int64"), c=pd.Categorical(["x", None, "y"] * 9))
    encoded = fit_table(frame).encode(frame)
    assert encoded[:3].isnan().tolist() == [[False, False], [True, True], [False, False]]


def test_rows_may_come_as_array_or_frame_in_any_column_order() -> None:
    frame = table(a=np.arange(20.0), b=np.arange(20.0) ** 2)
    preprocess = fit_table(frame)
    expected = preprocess.encode(frame)
    assert torch.equal(preprocess.encode(frame[["b", "a"]].assign(extra=1)), expected)
    assert torch.equal(preprocess.encode(frame.to_numpy()), expected)
    assert torch.equal(preprocess.encode(torch.tensor(frame.to_numpy())), expected)


def test_wrong_columns_are_named() -> None:
    preprocess = fit_table(table(a=np.arange(20.0), b=np.arange(20.0)))
    with pytest.raises(BadData, match="must have the columns b; it has a"):
        preprocess.encode(table(a=[1.0]))
    with pytest.raises(BadData, match=r"shape \(n, 2\).*got \(5, 3\)"):
        preprocess.encode(np.zeros((5, 3)))
    with pytest.raises(BadData, match="a more than once"):
        preprocess.encode(pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"]))


def test_preprocessing_round_trips_through_json(shared_data: Path) -> None:
    for name in ("credit_g", "soybean", "california_housing"):
        data = load_dataset(str(shared_data / f"tabular/{name}.csv.gz"))
        again = preprocess_from_json(json.loads(json.dumps(data.preprocess.to_json())))
        assert again == data.preprocess


def test_columns_are_described_by_what_is_not_as_usual_and_not_as_in_all_of_them() -> None:
    one = fit_table(table(a=np.arange(20.0)))
    columns = {"name": ["a"], "kind": "number", "fill": 9.5, "mean": 9.5, "std": 5.766281}  # std: what float32 tells
    assert one.to_json() == {"kind": "table", "columns": columns}
    with pytest.warns(UserWarning, match="'flat' \\(constant\\)"):
        several = fit_table(table(a=np.arange(20.0), flat=np.ones(20), b=["x", "y", "z", "x"] * 5))
    columns = {
        **{"name": ["a", "b"], "kind": ["number", "category"], "fill": [9.5, -1.0], "mean": [9.5, 0.0]},
        **{"categories": [[], ["x", "y", "z"]], "one_hot": [0, 3], "std": [5.766281, 1.0]},
    }
    assert several.to_json() == {"kind": "table", "source": ["a", "flat", "b"], "columns": columns}
    for preprocess in (one, several):
        assert preprocess_from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


def test_columns_described_one_by_one_are_read_as_well() -> None:
    preprocess = fit_table(table(a=np.arange(20.0), b=["x", "y", "z", "x"] * 5))
    columns = [{**vars(column), "categories": [*column.categories]} for column in preprocess.columns]
    older = {"kind": "table", "source": ["a", "b"], "columns": columns}
    assert preprocess_from_json(json.loads(json.dumps(older))) == preprocess


@pytest.mark.parametrize(
    "damage",
    [
        *({"kind": "other"}, {"columns": [{}]}, {"columns": 3}, {"columns": {}}, {"source": None}),
        {"columns": {"name": ["a", "b"], "kind": "number", "fill": [0.0]}},
        {"columns": {"name": "ab", "kind": "number", "fill": 0.0}},
    ],
)
def test_damaged_json_is_refused(damage: dict[str, object]) -> None:
    document = fit_table(table(a=np.arange(20.0))).to_json()
    with pytest.raises(BadBundle):
        preprocess_from_json({**document, **damage})


def test_preprocessing_is_fitted_on_training_rows_alone(shared_data: Path) -> None:
    path = shared_data / "tabular/credit_g.csv.gz"
    data = load_dataset(str(path))
    frame = pd.read_csv(path, keep_default_na=False)
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(frame, test_size=0.2, stratify=frame["label"], random_state=0)
    assert fit_table(train.drop(columns="label")) == data.preprocess
    assert np.array_equal(transform(data.preprocess, test), data.x_test.numpy())


def test_every_shared_table_gives_finite_inputs(shared_data: Path) -> None:
    for path in sorted((shared_data / "tabular").glob("*.csv.gz")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = load_dataset(str(path))
        assert torch.isfinite(data.x).all() and torch.isfinite(data.x_test).all()
        assert data.x.abs().max() <= 8
        assert data.x.shape == (data.spec.rows, *data.spec.input_shape)


def test_the_module_gives_each_row_the_same_alone_or_in_a_batch() -> None:
    rng = np.random.default_rng(0)
    frame = table(a=rng.lognormal(0, 2, 50), c=rng.choice(["x", "y", "z"], 50), n=[1.0, np.nan] * 25)
    preprocess = fit_table(frame)
    encoded, module = preprocess.encode(frame), preprocess.module()
    assert module(encoded).shape == (50, *preprocess.output_shape)
    assert len(preprocess.features) == preprocess.output_shape[0]
    assert torch.equal(torch.cat([module(encoded[at : at + 1]) for at in range(50)]), module(encoded))
    assert module(encoded[:0]).shape == (0, *preprocess.output_shape)


def test_dates_as_text_count_as_days() -> None:
    frame = table(day=[f"2024-01-{day:02}" for day in range(1, 31)] + ["?", None])
    preprocess = fit_table(frame)
    encoded = preprocess.encode(frame)[:, 0]
    assert preprocess.columns[0].kind == "number"
    assert (encoded[1:30] - encoded[:29] == 1).all()
    assert torch.isnan(encoded[30:]).all()


def test_moments_as_text_keep_their_time_and_zone() -> None:
    frame = table(at=["2024-05-01 00:00", "2024-05-01T12:00:00Z", "2024-05-02T02:00:00+02:00"] * 12)
    encoded = fit_table(frame).encode(frame)[:3, 0]
    assert (encoded - encoded[0]).tolist() == [0.0, 0.5, 1.0]


def test_a_cell_that_is_no_date_is_named() -> None:
    cells = [f"2024-02-{day:02}" for day in range(1, 29)] * 2
    cells[9] = "soon"
    with pytest.raises(BadData, match=r"column 'day' must be dates, got 'soon' in row 9"):
        fit_table(table(day=cells))
    cells[9] = "2024-02-31"
    with pytest.raises(BadData, match=r"got '2024-02-31'"):
        fit_table(table(day=cells))


def test_dates_in_other_spellings_are_text() -> None:
    frame = table(day=[f"{day}/02/2024" for day in range(1, 29)])
    assert fit_table(frame).columns[0].kind == "category"
