"""Networks that the program did not deliver by a run of its own, for the zoo: a bundle, what was asked, what came."""

from __future__ import annotations

import shutil
from pathlib import Path

from common import ROOT

from steerage import store
from steerage.bundle import save_network
from steerage.space import Values
from steerage.synthesis import summary
from steerage.synthesis.as_network import as_network
from steerage.synthesis.candidate import Bench, Trained
from steerage.training.evaluate import Scores

ZOO = ROOT / "src" / "steerage" / "zoo"


def put_into_zoo(
    name: str, bench: Bench, values: Values, trained: Trained, test: Scores, search: Path, command: str, seed: int
) -> None:
    """Save ``trained`` with ``values`` as ``zoo:NAME``; it was searched for by the run in the folder ``search``."""
    dataset, place = bench.dataset, ZOO / name
    found = summary.entry(dataset, bench.cost_told(trained), epochs=trained.epochs, validation=None, test=test)
    network = as_network(bench, values, trained, found)
    shutil.rmtree(place, ignore_errors=True)
    save_network(place / "network", network, template=bench.template)
    asked, told = (store.read_json(search / file) for file in ("run.json", "summary.json"))
    store.write_json(place / "run.json", asked | {"command": command})
    own = {"values": dict(values), "seed": seed, "seconds": told["seconds"] | {"local": trained.seconds}}
    rest = {key: told[key] for key in ("version", "task", "metric", "budget", "trials", "versions")}
    store.write_json(place / "summary.json", rest | found | own)
