"""Runs whose images are put upright: when, how they go on, and what is delivered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steerage
from steerage import SteerageClassifier
from steerage.cost.budget import Budget
from steerage.data.build import dataset_from_arrays
from steerage.data.straightened import is_straightened, straightened
from steerage.errors import RunConflict
from steerage.listeners.story import Story
from steerage.synthesis import Result, synthesize
from steerage.synthesis.main import refine
from steerage.synthesis.own_network import OwnNetwork
from tasks import bars

EFFORT: dict[str, Any] = {"trials": 1, "epochs": 3, "budget": Budget(max_params=300), "template": "mlp"}


IMAGES, LABELS = bars(300, seed=0, slant=0.9)
DATA = dataset_from_arrays(IMAGES, LABELS, name="bars")
SLANTED = straightened(DATA, True)


def asked(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((result.folder / "run.json").read_text())
    return document


def test_a_run_has_upright_images_where_they_are_better_and_goes_on_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []
    result = synthesize(DATA, **EFFORT, out=tmp_path / "run", listener=events.append)
    assert asked(result)["straighten"] is True
    story = Story("synth", "bars", clock=lambda: 0.0, seconds=None)
    assert any("images are put upright" in line for event in events for line in story.hear(event))
    assert is_straightened(result.network.preprocess)
    again = steerage.load(result.folder / "network")
    assert is_straightened(again.preprocess)
    # What is delivered takes its owner's images: it puts them upright itself.
    outputs = again.scores(again.preprocess.encode(IMAGES))
    assert np.allclose(outputs, again.model(SLANTED.preprocess.module()(again.preprocess.encode(IMAGES))).detach())
    # Of the run that is there, and not what would be chosen today.
    monkeypatch.setattr("steerage.data.straightened._helps", lambda dataset, how: False)
    assert synthesize(DATA, **EFFORT, out=tmp_path / "run").folder == result.folder
    with pytest.raises(RunConflict, match="straighten"):
        synthesize(DATA, **EFFORT, out=tmp_path / "run", straighten=False)


def test_a_run_of_images_as_they_are_stays_one(tmp_path: Path) -> None:
    result = synthesize(DATA, **EFFORT, out=tmp_path / "run", straighten=False)
    assert "straighten" not in asked(result)  # as of runs that began before there was any
    assert not is_straightened(result.network.preprocess)
    assert synthesize(DATA, **EFFORT, out=tmp_path / "run").folder == result.folder
    with pytest.raises(RunConflict, match="straighten"):
        synthesize(DATA, **EFFORT, out=tmp_path / "run", straighten=True)


def test_a_refined_network_sees_what_it_has_learnt(tmp_path: Path) -> None:
    given = synthesize(DATA, **EFFORT, out=tmp_path / "run").network
    own = OwnNetwork("bars", lambda: given.model, architecture=given.architecture)
    few = {"budget": Budget(max_params=150), "epochs": 2}
    refined = refine(own, DATA, **few, straighten=True, out=tmp_path / "refined").network
    assert refined.preprocess == given.preprocess
    assert not is_straightened(refine(own, DATA, **few, out=tmp_path / "plain").network.preprocess)


@pytest.mark.parametrize("wanted", [None, False])
def test_estimators_do_so_too(wanted: bool | None) -> None:
    model = SteerageClassifier(max_params=300, trials=1, epochs=3, template="mlp", straighten=wanted, random_state=0)
    network = model.fit(IMAGES, LABELS).network_
    assert is_straightened(network.preprocess) is (wanted is None)
    assert model.predict(IMAGES[:5]).shape == (5,)
