"""Facts about the networks that come with the program."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import steerage
from networks import network, pruned, rows
from steerage.bundle import save_network, zoo
from steerage.cost import count
from steerage.errors import BadBundle


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_network(tmp_path / "tiny" / "network", pruned(network("mlp")))
    (tmp_path / "begun").mkdir()
    monkeypatch.setattr(zoo, "ZOO", tmp_path)
    return tmp_path


def test_a_network_of_the_zoo_is_loaded_by_its_name(stocked: Path) -> None:
    loaded, same = steerage.load("zoo:tiny"), steerage.load(stocked / "tiny" / "network")
    assert np.array_equal(loaded.predict(rows(loaded)), same.predict(rows(same)))
    assert zoo.zoo_names() == ["tiny"]


@pytest.mark.parametrize("name", ["", "begun", "../tiny", "tiny/../tiny", "TINY", "tiny/network"])
def test_other_names_lead_nowhere(stocked: Path, name: str) -> None:
    with pytest.raises(BadBundle, match="it has tiny"):
        steerage.load(f"zoo:{name}")


def test_a_path_is_left_as_it_is(stocked: Path) -> None:
    assert zoo.network_folder("runs/zoo:tiny") == Path("runs/zoo:tiny")


def test_the_folder_of_a_run_stands_for_its_network(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    with pytest.raises(BadBundle, match="has no network yet"):
        steerage.load(run)
    save_network(run / "network", pruned(network("mlp")))
    assert steerage.load(run).cost == steerage.load(run / "network").cost


@pytest.mark.parametrize("name", zoo.zoo_names())
def test_what_the_zoo_says_of_its_networks_is_so(name: str) -> None:
    loaded, folder = steerage.load(f"zoo:{name}"), zoo.ZOO / name
    summary = json.loads((folder / "summary.json").read_text())
    asked = json.loads((folder / "run.json").read_text())
    cost = count(loaded.model, loaded.spec.input_shape, masks=loaded.masks)
    assert cost.params == summary["params"] == loaded.cost.params
    assert loaded.cost.params <= asked["budget"]["max_params"]
    assert loaded.error["error"] == summary["error"]
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 2_000_000
