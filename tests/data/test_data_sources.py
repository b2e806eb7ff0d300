"""Every source ends in tensors and the promised test part; every bad source in one line that says what to do."""

from __future__ import annotations

import gzip
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split

from steerage.data import Dataset, load_dataset, load_labelled
from steerage.errors import BadArgument, BadData, MissingDependency


def small_table(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "speed": rng.normal(size=rows),
            "colour": rng.choice(["red", "green", "blue"], rows),
            "fault": np.array(["no", "yes"])[np.arange(rows) % 2],
        }
    )


def names(data: Dataset, codes: torch.Tensor) -> list[str]:
    return [data.classes[int(code)] for code in codes]


@pytest.mark.parametrize(
    ("name", "kind", "shape", "outputs"),
    [
        ("digits", "image", (1, 8, 8), 10),
        ("iris", "table", (4,), 3),
        ("wine", "table", (13,), 3),
        ("breast_cancer", "table", (30,), 2),
        ("diabetes", "table", (10,), 1),
    ],
)
def test_bundled_sets_load_without_a_download(name: str, kind: str, shape: tuple[int, ...], outputs: int) -> None:
    data = load_dataset(name)
    assert (data.spec.kind, data.spec.input_shape, data.spec.outputs) == (kind, shape, outputs)
    assert data.spec.rows == len(data.x) == len(data.y)
    assert data.prepare(data.x_test).shape == (len(data.y_test), *shape)


def test_digits_test_rows_are_those_of_train_test_split() -> None:
    x, y = datasets.load_digits(return_X_y=True)
    _, x_test, _, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    data = load_dataset("digits")
    assert np.array_equal(data.x_test.flatten(1).numpy(), x_test)
    assert np.array_equal(data.y_test.numpy(), y_test)


def test_csv_test_rows_are_those_of_train_test_split(shared_data: Path) -> None:
    path = shared_data / "tabular/vowel.csv.gz"
    frame = pd.read_csv(path)
    x, y = frame.iloc[:, :-1], frame["label"]
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    data = load_dataset(str(path))
    assert names(data, data.y_test) == list(y_test)
    assert names(data, data.y) == list(y_train)
    scaled = (x_test - x_train.mean()) / x_train.std(ddof=0)
    assert np.allclose(data.x_test.numpy()[:, 1:], scaled.to_numpy()[:, 1:], atol=1e-4)


def test_integer_labels_split_as_scikit_learn_splits_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": np.arange(300.0), "grade": rng.integers(1, 13, 300)})  # "10" < "2" as text
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"))
    _, test = train_test_split(frame, test_size=0.2, stratify=frame["grade"], random_state=0)
    assert names(data, data.y_test) == [str(grade) for grade in test["grade"]]


def test_a_class_with_one_row_makes_the_split_unstratified(tmp_path: Path) -> None:
    frame = small_table()
    frame.loc[3, "fault"] = "maybe"
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"))
    _, test = train_test_split(frame, test_size=0.2, random_state=0)
    assert names(data, data.y_test) == list(test["fault"])


def test_rows_without_a_label_are_left_out_with_a_warning(tmp_path: Path) -> None:
    frame = small_table()
    frame.loc[[0, 7], "fault"] = "?"
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(UserWarning, match="2 of 40 rows have no label"):
        data = load_dataset(str(tmp_path / "t.csv"))
    kept = frame.drop(index=[0, 7])
    _, test = train_test_split(kept, test_size=0.2, stratify=kept["fault"], random_state=0)
    assert names(data, data.y_test) == list(test["fault"])


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_tables_of_each_format_give_the_same_data(tmp_path: Path, suffix: str) -> None:
    frame, path = small_table(), tmp_path / f"t{suffix}"
    frame.to_csv(tmp_path / "reference.csv", index=False)
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    assert load_dataset(str(path)).fingerprint == load_dataset(str(tmp_path / "reference.csv")).fingerprint


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_separate_too(tmp_path: Path, separator: str) -> None:
    small_table().to_csv(tmp_path / "t.csv", index=False, sep=separator)
    assert load_dataset(str(tmp_path / "t.csv")).spec.input_shape == (4,)


def test_a_column_that_counts_rows_is_left_out(tmp_path: Path) -> None:
    small_table().to_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning, match="only counts the rows"):
        assert load_dataset(str(tmp_path / "t.csv")).spec.input_shape == (4,)


def test_target_may_be_any_column(tmp_path: Path) -> None:
    small_table().to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"), target="speed")
    assert (data.spec.task, data.spec.outputs, data.target_name) == ("regression", 1, "speed")


def test_spaces_around_labels_do_not_make_classes(tmp_path: Path) -> None:
    lines = [f"{at}.5,{label}" for at, label in enumerate(["sad", "sad ", " sad", "glad", "glad  "] * 6)]
    path = tmp_path / "moods.csv"
    path.write_text("\n".join(["a,mood", *lines]))
    data = load_dataset(str(path))
    assert data.classes == ("glad", "sad")
    x, y = load_labelled(
        str(path), preprocess=data.preprocess, classes=data.classes, target_name="mood", task="classification"
    )
    assert y is not None and torch.equal(y, data.y_test) and len(x) == len(y)


def test_parquet_siblings_are_training_and_test_part(tmp_path: Path) -> None:
    frame = small_table(60)
    frame[:45].to_parquet(tmp_path / "pump_train.parquet")
    frame[45:].to_parquet(tmp_path / "pump_test.parquet")
    for source in (tmp_path / "pump_train.parquet", tmp_path):
        data = load_dataset(str(source))
        assert (data.name, data.spec.rows, len(data.y_test)) == ("pump", 45, 15)
        assert names(data, data.y_test) == list(frame["fault"][45:])


def test_npz_keeps_its_own_test_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (30, 6, 5), dtype=np.uint8), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    data = load_dataset(str(tmp_path / "a.npz"))
    assert data.spec.input_shape == (1, 6, 5)
    assert np.array_equal(data.x_test[:, 0].numpy(), x[20:])
    assert data.y_test.tolist() == y[20:].tolist()


@pytest.mark.parametrize("shape", [(20, 6, 5, 3), (20, 3, 6, 5)])
def test_npz_images_may_have_channels_first_or_last(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random(shape)
    np.savez(tmp_path / "a.npz", X=x, Y=np.arange(20) % 2)
    data = load_dataset(str(tmp_path / "a.npz"))
    assert (data.spec.input_shape, data.x.dtype) == ((3, 6, 5), torch.float32)


def test_npz_with_two_axes_is_a_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random((30, 4)), y=np.linspace(0, 1, 30))
    data = load_dataset(str(tmp_path / "a.npz"))
    assert (data.spec.kind, data.spec.task, data.spec.input_shape) == ("table", "regression", (4,))


def test_a_pickled_npz_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}] * 12, dtype=object), y=np.arange(12))
    with pytest.raises(BadData, match="got pickled objects"):
        load_dataset(str(tmp_path / "a.npz"))
    (tmp_path / "b.npz").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(BadData, match=r"b\.npz"):
        load_dataset(str(tmp_path / "b.npz"))


def test_npz_errors_name_the_arrays_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", inputs=np.zeros((20, 2)), y=np.zeros(20))
    with pytest.raises(BadData, match="it has inputs, y"):
        load_dataset(str(tmp_path / "a.npz"))


def test_x_and_y_of_unlike_length_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 2)), y=np.zeros(19))
    with pytest.raises(BadData, match="got 20 and 19"):
        load_dataset(str(tmp_path / "a.npz"))


def test_images_with_nan_are_refused(tmp_path: Path) -> None:
    x = np.zeros((20, 4, 4))
    x[7, 0, 0] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(20) % 2)
    with pytest.raises(BadData, match="in image 7"):
        load_dataset(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("a,b\n", "only column names"),
        ("a\n1\n2\n", "at least two columns"),
        ("a,a,b\n1,2,x\n", "got a more than once"),
        ("5.1,3.5,x\n4.9,3.0,y\n", "must have a header line"),
        ("a,b\n" + "1,x\n" * 20, "at least two classes, got only 'x'"),
        ("a,b\n" + "1,x\n2,y\n" * 4, "at least 10 rows with a label, got 8"),
        ("a,b\n1,2,3\n1,2,3\n", "as many cells in every row"),
        ("a,b\n" + "1,x\n" * 10 + "1,x,2,3\n", "got 4 for 2 in line 12"),
        ("a,b\n" + "1,x\n1,y\n" * 10, "a column to learn from"),
        ("a,b\n" + "".join(f"{row},name{row}\n" for row in range(50)), "few classes, got 50 in 50 rows"),
    ],
)
def test_tables_with_nothing_to_learn_from_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(BadData, match=message) as caught:
        load_dataset(str(tmp_path / "t.csv"))
    assert "\n" not in str(caught.value)


def test_an_unknown_target_lists_the_columns(tmp_path: Path) -> None:
    pd.DataFrame(np.zeros((20, 30)), columns=[f"c{at}" for at in range(30)]).to_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning), pytest.raises(BadData, match=r"no column 'wrong'; it has c0, c1.* and 20 more"):
        load_dataset(str(tmp_path / "t.csv"), target="wrong")


def test_a_misspelt_name_is_answered_with_close_ones(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="did you mean digits"):
        load_dataset("digit")
    (tmp_path / "sensors.csv").touch()
    with pytest.raises(BadData, match=r"did you mean .*sensors\.csv"):
        load_dataset(str(tmp_path / "sensor.csv"))
    for source in ("qqqqqqq", ""):
        with pytest.raises(BadData, match="need no file: digits, iris"):
            load_dataset(source)


def test_columns_of_lists_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"path": [[1, 2]] * 20, "y": [0, 1] * 10}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadData, match="column 'path' must be numbers or text"):
        load_dataset(str(tmp_path / "t.parquet"))


@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"PAR1", b"\x1f\x8b\x08\x00"])
@pytest.mark.parametrize("name", ["t.parquet", "t.npz", "t.csv.gz", "t.csv"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, name: str, start: bytes) -> None:
    (tmp_path / name).write_bytes(start + b"\x89\xff\x00 damaged")
    with pytest.raises(BadData, match=name):
        load_dataset(str(tmp_path / name))


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(small_table(500).to_csv(index=False).encode())
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="cannot be read as CSV"):
        load_dataset(str(tmp_path / "t.csv.gz"))


def test_an_unknown_ending_or_task_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").touch()
    with pytest.raises(BadData, match=r"end in \.csv"):
        load_dataset(str(tmp_path / "t.xlsx"))
    with pytest.raises(BadArgument, match="got 'rank'"):
        load_dataset("iris", task="rank")  # type: ignore[arg-type]


def test_openml_without_a_network_is_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(BadData, match=r"openml:adult cannot be fetched \(no route to host\)"):
        load_dataset("openml:adult")


def test_torchvision_is_asked_for_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(MissingDependency, match=r"steerage-nn\[vision\]"):
        load_dataset("torchvision:MNIST")
    with pytest.raises(BadData, match="known are MNIST"):
        load_dataset("torchvision:Nothing")


def test_torchvision_parts_become_training_and_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Fake:
        def __init__(self, _root: str, *, train: bool, download: bool) -> None:
            assert download
            self.data = torch.zeros((20 if train else 10, 4, 4), dtype=torch.uint8)
            self.targets = torch.arange(len(self.data)) % 2

    module = types.ModuleType("torchvision.datasets")
    module.MNIST = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)
    monkeypatch.setattr("steerage.data.remote.CACHE", tmp_path)
    data = load_dataset("torchvision:MNIST")
    assert (data.spec.rows, len(data.x_test), data.spec.input_shape) == (20, 10, (1, 4, 4))


def test_load_labelled_finds_the_same_test_rows(tmp_path: Path) -> None:
    small_table().to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"))
    x, y = load_labelled(
        str(tmp_path / "t.csv"),
        preprocess=data.preprocess,
        classes=data.classes,
        target_name="fault",
        task="classification",
    )
    assert y is not None and torch.equal(y, data.y_test)
    assert torch.equal(data.preprocess.module()(x), data.x_test)
    x, y = load_labelled(
        str(tmp_path / "t.csv"),
        preprocess=data.preprocess,
        classes=data.classes,
        target_name="fault",
        task="classification",
        part="train",
    )
    assert y is not None and torch.equal(y, data.y)
    assert torch.equal(data.preprocess.module()(x), data.x)


def test_load_labelled_finds_the_same_training_rows(tmp_path: Path) -> None:
    small_table().to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"))
    x, y = load_labelled(
        str(tmp_path / "t.csv"),
        preprocess=data.preprocess,
        classes=data.classes,
        target_name="fault",
        task="classification",
        part="train",
    )
    assert y is not None and torch.equal(y, data.y)
    assert torch.equal(data.preprocess.module()(x), data.x)


def test_load_labelled_reads_rows_without_labels(tmp_path: Path) -> None:
    frame = small_table()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.drop(columns="fault").to_csv(tmp_path / "new.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"))
    x, y = load_labelled(
        str(tmp_path / "new.csv"),
        preprocess=data.preprocess,
        classes=data.classes,
        target_name="fault",
        task="classification",
        part="all",
    )
    assert y is None and len(x) == 40
    with pytest.raises(BadData, match="evaluate all rows"):
        load_labelled(
            str(tmp_path / "new.csv"),
            preprocess=data.preprocess,
            classes=data.classes,
            target_name="fault",
            task="classification",
        )


def test_load_labelled_refuses_unknown_classes(tmp_path: Path) -> None:
    frame = small_table()
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load_dataset(str(tmp_path / "t.csv"))
    with pytest.raises(BadData, match="must have the classes no, never, got yes"):
        load_labelled(
            str(tmp_path / "t.csv"),
            preprocess=data.preprocess,
            classes=("no", "never"),
            target_name="fault",
            task="classification",
            part="all",
        )


def test_load_labelled_gives_regression_targets_in_their_units(shared_data: Path) -> None:
    path = str(shared_data / "tabular/california_housing.csv.gz")
    data = load_dataset(path)
    _, y = load_labelled(path, preprocess=data.preprocess, classes=(), target_name="target", task="regression")
    assert y is not None
    assert torch.allclose(y, data.y_test * data.target_std + data.target_mean, rtol=1e-4)


def test_mnist_keeps_its_canonical_split(shared_data: Path) -> None:
    data = load_dataset(str(shared_data / "mnist.npz"))
    assert (data.spec.rows, len(data.x_test), data.x.dtype) == (60_000, 10_000, torch.uint8)
    assert not data.augment.flip and data.augment.rotate > 0
    batch = data.prepare(data.x[:2000])
    assert abs(float(batch.mean())) < 0.1 and abs(float(batch.std()) - 1) < 0.1
