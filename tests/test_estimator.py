"""The scikit-learn estimators."""

from __future__ import annotations

import pickle
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from optuna.study import Study
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import steerage
from steerage import SteerageClassifier, SteerageRegressor, events, parameters_scorer, synthesize
from steerage.bundle import load_network
from steerage.cost import Budget
from steerage.data import TaskSpec
from steerage.errors import BadArgument, InfeasibleBudget, RunConflict
from steerage.estimator import synthesizer
from steerage.search.run import open_study
from steerage.space import Space, Values
from steerage.synthesis import phases
from steerage.synthesis.main import Interrupted
from steerage.templates import Template
from tasks import clouds, waves

QUICK: dict[str, Any] = {"trials": 1, "epochs": 4, "random_state": 0}
X, Y = clouds()
TEXTS = np.array(["low", "middle", "high"])[Y]
WAVES = waves()


def classifier(**options: Any) -> SteerageClassifier:
    return SteerageClassifier(**{**QUICK, **options})


def regressor(**options: Any) -> SteerageRegressor:
    return SteerageRegressor(**{**QUICK, **options})


@pytest.fixture(autouse=True)
def _study_in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the tables of an SQLite file takes longer than all the rest of these fits; who has a folder has a file."""

    @contextmanager
    def study(path: Path) -> Iterator[Study]:
        yield open_study()

    if "tmp_path" not in request.fixturenames:
        monkeypatch.setattr(phases, "study_file", study)


@pytest.fixture(scope="module")
def fitted() -> SteerageClassifier:
    return classifier(epochs=20).fit(X, TEXTS)


@parametrize_with_checks([classifier(epochs=20), regressor(epochs=20)])
@pytest.mark.filterwarnings("ignore:columns left out")
def test_scikit_learns_own_checks(
    estimator: Any, check: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # one of the checks is skipped without it
    check(estimator)


def test_text_labels_come_back(fitted: SteerageClassifier) -> None:
    assert fitted.classes_.tolist() == ["high", "low", "middle"]
    predicted = fitted.predict(X)
    assert fitted.score(X, TEXTS) == accuracy_score(TEXTS, predicted) > 0.8
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (150, 3)
    assert (fitted.classes_[probabilities.argmax(1)] == predicted).all()


@pytest.mark.parametrize("labels", [["NA", "nan", "?"], [-1, 0, 7], [1.0, 2.0, 3.0]])
def test_labels_are_labels_whatever_they_look_like(labels: list[Any]) -> None:
    y = np.array(labels)[Y]
    model = classifier(epochs=20).fit(X, y)
    assert model.classes_.tolist() == sorted(labels)
    assert model.score(X, y) > 0.8


def test_the_network_and_the_summary_are_those_of_a_run(fitted: SteerageClassifier) -> None:
    assert fitted.summary_["params"] == fitted.network_.cost.params
    assert fitted.summary_["error"]["test"] is None
    assert fitted.network_.classes == ("high", "low", "middle")
    assert (fitted.network_.predict(X) == fitted.predict(X)).mean() > 0.99
    assert np.allclose(fitted.network_.predict_proba(X), fitted.predict_proba(X), atol=1e-5)


def test_a_number_is_predicted_in_its_own_units() -> None:
    x, y = WAVES
    model = regressor(epochs=20).fit(x, y)
    assert model.score(x, y) == r2_score(y, model.predict(x)) > 0.5
    assert np.allclose(model.network_.predict(x), model.predict(x), rtol=1e-5)


def test_the_budget_holds() -> None:
    assert classifier(max_params=np.int64(60)).fit(X, Y).network_.cost.params <= 60
    assert regressor(max_macs=80).fit(*WAVES).network_.cost.macs <= 80


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_params": 5}, InfeasibleBudget),
        ({"max_params": 50.5}, BadArgument),
        ({"trials": 0}, BadArgument),
        ({"template": "cnn"}, BadArgument),
        ({"scheme": "Z"}, BadArgument),
        ({"class_weight": "equal"}, BadArgument),
        ({"class_weight": {0: 0.0}}, ValueError),
    ],
)
def test_hyperparameters_are_looked_at_when_fit_needs_them(options: dict[str, Any], error: type[Exception]) -> None:
    model = classifier(**options)
    with pytest.raises(error):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_the_random_state_decides_the_network() -> None:
    def weights(random_state: Any) -> bytes:
        return steerage.bundle.packed(classifier(random_state=random_state).fit(X, Y).network_)["weights.safetensors"]

    assert weights(3) == weights(3) != weights(4)
    assert weights(np.random.RandomState(5)) == weights(np.random.RandomState(5))
    np.random.seed(6)
    first, second = weights(None), weights(None)
    np.random.seed(6)
    assert first == weights(None) != second


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    handles = Path("/proc/self/fd")
    before = len(list(handles.iterdir())) if handles.is_dir() else 0
    for _ in range(2):
        classifier().fit(X, Y)
    assert list(tmp_path.iterdir()) == []
    if handles.is_dir():
        assert len(list(handles.iterdir())) == before


def test_a_folder_of_ones_own_stays_and_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    first = classifier(out=out).fit(X, Y)
    assert load_network(out / "network").cost == first.network_.cost
    monkeypatch.setattr(phases, "train_baseline", None)  # nothing is trained again
    again = classifier(out=str(out)).fit(X, Y)
    assert np.array_equal(again.predict_proba(X), first.predict_proba(X))
    with pytest.raises(RunConflict):
        classifier(out=out).fit(X[1:], Y[1:])


# Rows and labels


def cars(rows: int = 90) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "fuel": pd.Categorical(rng.choice(["gas", "diesel", "current"], rows)),
            "maker": rng.choice(["A", "B", None], rows),
            "power": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(100, 20, rows)),
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D"),
        },
        index=rng.permutation(rows) + 1000,
    )
    label = pd.Series(np.where(frame["fuel"] == "gas", "loud", "quiet"), index=frame.index, name="noise")
    return frame, label


def test_a_table_of_pandas_keeps_names_categories_and_missing_values() -> None:
    frame, label = cars()
    model = classifier(epochs=30).fit(frame, label)
    assert model.feature_names_in_.tolist() == ["fuel", "maker", "power", "sold"]
    assert model.n_features_in_ == 4
    assert model.network_.preprocess.source == ("fuel", "maker", "power", "sold")  # type: ignore[attr-defined]
    assert model.network_.target_name == "noise"
    assert model.score(frame, label) > 0.95
    strange = frame.assign(fuel="never seen", power=np.inf)
    assert set(model.predict(strange)) <= {"loud", "quiet"}


def test_other_columns_are_refused() -> None:
    frame, label = cars()
    model = classifier().fit(frame, label)
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[["maker", "fuel", "power", "sold"]])
    with pytest.raises(ValueError, match="now missing"):
        model.predict(frame[["fuel", "maker", "power"]])
    with pytest.raises(ValueError, match="must be numbers, got 'much'"):
        model.predict(frame.assign(power="much"))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(frame.to_numpy())


def test_a_table_of_polars_is_the_same_as_one_of_pandas() -> None:
    polars = pytest.importorskip("polars")
    frame, label = cars()
    table = polars.DataFrame(
        {
            "fuel": polars.Series(frame["fuel"].astype(str).tolist(), dtype=polars.Categorical),
            "maker": [None if pd.isna(maker) else maker for maker in frame["maker"]],
            "power": polars.Series(frame["power"].to_numpy()).fill_nan(None),
            "sold": polars.Series(frame["sold"].dt.to_pydatetime()),
        }
    )
    labels = polars.Series("noise", label.tolist())
    model, other = classifier().fit(table, labels), classifier().fit(frame, label)
    assert model.feature_names_in_.tolist() == table.columns
    assert model.network_.target_name == "noise"
    assert np.array_equal(model.predict_proba(table), other.predict_proba(frame))
    with pytest.raises(TypeError, match="collect"):
        model.predict(table.lazy())


def test_polars_is_not_imported_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    frame, label = cars()
    assert classifier().fit(frame, label).predict(frame).shape == (90,)
    assert "polars" not in sys.modules


def test_arrays_of_text_and_numbers_are_read_column_by_column() -> None:
    frame, label = cars()
    rows = frame[["fuel", "power"]].astype(object).to_numpy()
    model = classifier(epochs=30).fit(rows, label)
    assert model.score(rows, label) > 0.95
    assert not hasattr(model, "feature_names_in_")


def test_images_are_rows_of_three_or_four_axes() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    images = rng.integers(0, 60, (60, 8, 8), dtype=np.uint8)
    images[y == 1, :, 3] += 150
    model = classifier(epochs=10).fit(images, y)
    assert model.network_.spec.input_shape == (1, 8, 8)
    assert model.score(images, y) > 0.9
    assert np.array_equal(model.predict(images[..., None]), model.predict(images))


def waves_in_windows() -> tuple[Any, Any, Any]:
    """Windows (60, 2, 24) of ten recordings, slow or fast, and which is of which."""
    rng = np.random.default_rng(0)
    y, recordings = np.arange(60) % 2, np.repeat(np.arange(10), 6)
    phase = rng.random((60, 1, 1)) * 6
    moments = np.arange(24) * np.where(y == 1, 1.6, 0.5)[:, None, None] + phase
    return np.concatenate([np.sin(moments), np.cos(moments)], axis=1), y, recordings


def test_signals_are_arrays_that_are_said_to_be_some() -> None:
    signals, y, _ = waves_in_windows()
    model = classifier(epochs=20, kind="signal").fit(signals, y)
    assert (model.network_.spec.kind, model.network_.spec.input_shape) == ("signal", (2, 24))
    assert model.score(signals, y) > 0.9
    with pytest.raises(ValueError, match="24 features"):  # the axes of fit
        model.predict(signals.transpose(0, 2, 1))
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(signals), model.predict_proba(signals))
    numbers = regressor(kind="signal").fit(signals[:, 0], signals[:, 0].mean(axis=1))  # of one channel
    assert numbers.network_.spec.input_shape == (1, 24)
    assert numbers.predict(signals[:, 0]).shape == (60,)


def test_signals_go_through_pipelines_and_clones() -> None:
    signals, y, _ = waves_in_windows()
    model = clone(make_pipeline(FunctionTransformer(np.diff), classifier(epochs=20, kind="signal")))
    found = cross_validate(model, signals, y, cv=2, return_estimator=True)
    assert found["test_score"].min() > 0.8
    assert [one[-1].network_.spec.input_shape for one in found["estimator"]] == [(2, 23)] * 2


def test_arrays_of_another_kind_than_asked_are_refused() -> None:
    signals, y, _ = waves_in_windows()
    with pytest.raises(ValueError, match="must be table data as asked, but it is image data"):
        classifier(kind="table").fit(signals, y)
    with pytest.raises(ValueError, match="signals must have shape"):
        classifier(kind="signal").fit(signals, y).predict(signals[:, :, :20])


def test_a_group_is_held_out_as_a_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    signals, y, recordings = waves_in_windows()
    seen: list[Any] = []

    def spied(dataset: Any, **options: Any) -> Any:
        seen.append(dataset.groups)
        return synthesize(dataset, **options)

    monkeypatch.setattr(synthesizer, "synthesize", spied)
    search = GridSearchCV(classifier(kind="signal"), {"max_params": [200]}, cv=GroupKFold(2), refit=False)
    search.fit(signals, y, groups=recordings)  # to part the folds
    assert seen == [None] * 2
    model = classifier(kind="signal").fit(signals, y, groups=[f"tape {one}" for one in recordings])
    assert len(seen[-1].unique()) == 10 and model.score(signals, y) > 0.5
    scores = cross_val_score(
        classifier(kind="signal"), signals, y, groups=recordings, cv=GroupKFold(2), params={"groups": recordings}
    )
    assert len(scores) == 2 and [len(one.unique()) for one in seen[-2:]] == [5, 5]


@pytest.mark.parametrize(
    ("groups", "message"),
    [(np.zeros(150), "at least 2 groups"), (np.zeros(149), "one value per row"), ([None] + [1, 2] * 74 + [1], "row 0")],
)
def test_groups_that_make_no_sense_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, Y, groups=groups)


def test_a_row_predicts_the_same_alone_and_among_others(fitted: SteerageClassifier) -> None:
    alone = np.concatenate([fitted.predict_proba(row[None]) for row in X])
    assert np.allclose(fitted.predict_proba(X), alone, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(150), "only one class"),
        (np.where(Y == 0, np.nan, Y), "NaN"),
        (np.array(["a", None, "b"] * 50, dtype=object), "NaN"),
        (np.linspace(0, 1, 150), "Unknown label type"),
        (Y[1:], "same number of rows"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, y)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 rows"):
        regressor().fit(X[:6], X[:6, 0])


# Weights


def probabilities(x: Any, y: Any, weights: Any = None, **options: Any) -> Any:
    return classifier(**options).fit(x, y, sample_weight=weights).predict_proba(X)


def test_whole_weights_are_repeated_rows_to_the_last_digit() -> None:
    repeats = np.random.default_rng(0).integers(0, 4, 150)
    order = np.random.default_rng(1).permutation(150)
    expected = probabilities(X.repeat(repeats, axis=0), Y.repeat(repeats))
    assert np.array_equal(probabilities(X, Y, repeats), expected)
    assert np.array_equal(probabilities(X[order], Y[order], repeats[order] * 0.3), expected)
    assert not np.array_equal(probabilities(X, Y), expected)


def test_weights_that_are_all_the_same_change_nothing() -> None:
    expected = probabilities(X, Y)
    for weights in (np.full(150, 0.25), 3, pd.Series(2, index=range(7, 157))):
        assert np.array_equal(probabilities(X, Y, weights), expected)


def test_heavy_rows_win() -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = np.arange(200) % 2  # nothing to be seen in x
    for favoured in (0, 1):
        weights = np.where(y == favoured, 5.5, 1.0)
        assert (classifier().fit(x, y, weights).predict(x) == favoured).mean() > 0.9
        by_class = classifier(class_weight={favoured: 5.5, "of another fold": 7.0}).fit(x, y)
        assert (by_class.predict(x) == favoured).mean() > 0.9


def test_balanced_classes_are_heard_alike() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 8 == 0).astype(int)
    x = rng.normal(size=(400, 2)) + y[:, None]
    plain, balanced = (classifier(epochs=10, class_weight=how).fit(x, y) for how in (None, "balanced"))
    assert plain.predict(x).mean() < 0.2
    assert 0.2 < balanced.predict(x).mean() < 0.5
    assert balanced.predict(x)[y == 1].mean() > 0.6


def test_the_regressor_takes_weights_too() -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    y = np.where(np.arange(100) % 2 == 0, 0.0, 10.0)
    weights = np.where(y == 0, 9.5, 1.0)
    assert regressor().fit(x, y, weights).predict(x).mean() < 3.0
    assert 3.0 < regressor().fit(x, y).predict(x).mean() < 7.0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.where(Y == 0, -1.0, 1.0), "must not be negative, got -1"),
        (np.zeros(150), "not zero"),
        (np.where(Y == 0, np.nan, 1.0), "NaN"),
        (np.ones(149), "one number per row"),
        (np.where(Y == 0, 1.0, 0.0), "only one class: 0"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, Y, sample_weight=weights)


# Stopping


def stops_at(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the first event of this kind."""
    stopped = False

    def listener(event: object) -> None:
        nonlocal stopped
        if isinstance(event, kind) and not stopped:
            stopped = True
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(synthesizer, "printer", lambda verbose: listener)


def test_ctrl_c_leaves_the_best_network_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    stops_at(events.TrialFinished, monkeypatch)
    model = classifier(trials=5, epochs=40)
    with pytest.warns(UserWarning, match=r"the fit was stopped: network_ is the best so far$") as warned:
        assert model.fit(X, TEXTS) is model
    assert warned[0].filename == __file__
    assert model.predict(X).shape == (150,)
    assert model.summary_["params"] == model.network_.cost.params
    assert 0 <= model.summary_["error"]["validation"] <= 1
    assert model.score(X, TEXTS) > 0.5


def test_ctrl_c_before_there_is_a_network_stops_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    stops_at(events.TrialStarted, monkeypatch)
    model = classifier(epochs=40)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_fit_that_was_stopped_goes_on_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = classifier(trials=2).fit(X, Y)
    with monkeypatch.context() as patch:
        stops_at(events.TrialFinished, patch)
        with pytest.warns(UserWarning, match="another fit goes on in"):
            stopped = classifier(trials=2, out=tmp_path / "run").fit(X, Y)
    assert "trials" not in stopped.summary_
    resumed = classifier(trials=2, out=tmp_path / "run").fit(X, Y)
    assert np.array_equal(resumed.predict_proba(X), straight.predict_proba(X))


def test_minutes_beside_epochs_end_a_fit_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def resting(*arguments: Any, **options: Any) -> Any:
        assert options["minutes"] == 0.5
        try:
            return synthesize(*arguments, **options)
        except Interrupted as stop:
            raise Interrupted(stop.folder, stop.best, rests=True) from None

    monkeypatch.setattr(synthesizer, "synthesize", resting)
    model = regressor(trials=5, epochs=40, minutes=0.5)
    stops_at(events.TrialFinished, monkeypatch)
    with pytest.warns(UserWarning, match="the minutes of the fit are over: network_ is the best so far"):
        model.fit(*WAVES)
    assert model.summary_["r2"]["validation"] <= 1
    stops_at(events.TrialStarted, monkeypatch)
    with pytest.raises(BadArgument, match=r"minutes=0\.5 were over before a network was trained; allow more"):
        model.fit(*WAVES)


def test_verbose_tells_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(X, Y)
    assert capsys.readouterr().out == ""
    classifier(verbose=1).fit(X, Y)
    quiet = capsys.readouterr().out
    assert re.search(r"^\[0:\d\d\] search$", quiet, re.M)
    assert re.search(r"^\[0:\d\d\] refit: validation error 0\.\d{4}, [\d,]+ parameters$", quiet, re.M)
    assert "trial" not in quiet
    classifier(verbose=2).fit(X, Y)
    assert re.search(r"trial 0: validation error 0\.\d{4}, [\d,]+ parameters", capsys.readouterr().out)


# Among other tools


def test_it_is_searched_in_pipelines_by_error_and_size() -> None:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier()),
        {"steerageclassifier__max_params": [40, 80]},
        scoring={"accuracy": "accuracy", "size": parameters_scorer},
        refit="size",
        cv=2,
    ).fit(X, Y)
    sizes = search.cv_results_["mean_test_size"]
    assert -40 <= sizes[0] < -10 and -80 <= sizes[1] < -40
    assert search.best_params_ == {"steerageclassifier__max_params": 40}
    assert parameters_scorer(search) == -search.best_estimator_[-1].network_.cost.params


def test_the_size_scorer_needs_a_network() -> None:
    with pytest.raises(BadArgument, match="StandardScaler has none"):
        parameters_scorer(StandardScaler())
    with pytest.raises(BadArgument, match="Pipeline has none"):
        parameters_scorer(make_pipeline(StandardScaler(), classifier()))


def test_two_processes_find_what_one_finds_and_send_it_back() -> None:
    alone, together = (
        cross_validate(classifier(), X, TEXTS, cv=2, n_jobs=jobs, return_estimator=True) for jobs in (1, 2)
    )
    assert np.array_equal(alone["test_score"], together["test_score"])
    for one, other in zip(alone["estimator"], together["estimator"], strict=True):
        assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_scores_are_cross_validated() -> None:
    scores = cross_val_score(regressor(), *WAVES, cv=3, scoring="neg_mean_absolute_error")
    assert scores.shape == (3,)
    assert (scores < 0).all()


@pytest.mark.parametrize("how", ["pickle", "joblib"])
def test_a_pickle_predicts_bit_for_bit(how: str, fitted: SteerageClassifier, tmp_path: Path) -> None:
    if how == "joblib":
        joblib.dump(fitted, tmp_path / "model", compress=3)
        again = joblib.load(tmp_path / "model")
    else:
        again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.summary_ == fitted.summary_
    assert again.get_params() == fitted.get_params()


def test_a_pickle_has_the_files_of_the_network_and_no_module(fitted: SteerageClassifier) -> None:
    content = pickle.dumps(fitted)
    assert b"weights.safetensors" in content
    assert re.search(rb"torch\.|steerage\.nn", content) is None


class Narrow(Template):
    """One hidden layer."""

    name = "narrow"

    def space(self, spec: TaskSpec) -> Space:
        from optuna.distributions import CategoricalDistribution

        return Space({"width": CategoricalDistribution((4, 6))})

    def build(self, values: Values, spec: TaskSpec) -> Any:
        from torch import nn

        width = int(values["width"])
        return nn.Sequential(nn.Linear(spec.input_shape[0], width), nn.ReLU(), nn.Linear(width, spec.outputs))

    def baseline(self, spec: TaskSpec) -> Values:
        return {"width": 4}


@pytest.mark.parametrize("template", [Narrow(), f"{__file__}:Narrow"], ids=["an object", "a file"])
def test_a_template_of_ones_own_is_pickled_with_its_network(template: Any) -> None:
    model = clone(classifier(template=template)).fit(X, Y)
    assert model.network_.architecture.template == "narrow"  # type: ignore[union-attr]
    again = pickle.loads(pickle.dumps(model.set_params(template="auto")))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_a_clone_is_not_fitted(fitted: SteerageClassifier) -> None:
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        other.predict(X)


def test_partial_fit_is_not_offered() -> None:
    assert not hasattr(SteerageClassifier(), "partial_fit")
    assert not hasattr(SteerageRegressor(), "predict_proba")


def test_distinct_rows_without_weights_are_what_synthesize_learns_from(tmp_path: Path) -> None:
    data = steerage.dataset_from_arrays(X, Y, weights=np.ones(150), hold_out=False)
    network = synthesize(data, budget=Budget(), trials=1, epochs=4, seed=0, out=tmp_path / "run").network
    assert np.allclose(network.predict_proba(X), classifier().fit(X, Y).predict_proba(X), atol=1e-5)


def test_the_examples_of_the_page_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("page"))
    page = (Path(__file__).resolve().parents[1] / "docs" / "scikit-learn.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 6
    code, replaced = re.subn(r"minutes=\d+", "trials=1, epochs=2", "\n".join(blocks))
    assert replaced == 5
    namespace: dict[str, Any] = {}
    exec(compile(code, "scikit-learn.md", "exec"), namespace)
    assert namespace["clf"].network_.cost.params <= 300
    assert namespace["reg"].network_.cost.params <= 200
    assert namespace["search"].best_params_["steerageclassifier__max_params"] in (100, 300)
    assert namespace["scores"].shape == (2,)
