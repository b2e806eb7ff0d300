"""Networks that the program did not deliver by a run of its own, for the zoo: a bundle, what was asked, what came."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT

from steerage.bundle import FromTemplate, Network, save_network
from steerage.space import Values
from steerage.synthesis import summary
from steerage.synthesis.candidate import Bench, Trained
from steerage.training.evaluate import Scores

ZOO = ROOT / "src" / "steerage" / "zoo"


def put_into_zoo(
    name: str, bench: Bench, values: Values, trained: Trained, test: Scores, search: Path, command: str, seed: int
) -> None:
    """Save ``trained`` with ``values`` as ``zoo:NAME``; it was searched for by the run in the folder ``search``."""
    dataset, place = bench.dataset, ZOO / name
    found = summary.entry(dataset, trained.cost, epochs=trained.epochs, validation=None, test=test)
    network = Network(
        model=trained.model,
        architecture=FromTemplate(bench.template.name, values),
        spec=dataset.spec,
        preprocess=dataset.preprocess,
        cost=trained.cost,
        masks=trained.masks,
        classes=dataset.classes,
        target_name=dataset.target_name,
        error={"error": found["error"]},
    )
    shutil.rmtree(place, ignore_errors=True)
    save_network(place / "network", network, template=bench.template)
    asked, told = (json.loads((search / file).read_text(encoding="utf-8")) for file in ("run.json", "summary.json"))
    _write(place / "run.json", asked | {"command": command})
    own = {"values": dict(values), "seed": seed, "seconds": told["seconds"] | {"local": trained.seconds}}
    rest = {key: told[key] for key in ("version", "task", "metric", "budget", "trials", "versions")}
    _write(place / "summary.json", rest | found | own)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
