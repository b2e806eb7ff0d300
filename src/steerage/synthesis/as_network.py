"""A trained candidate with all that it takes to use it on raw rows: what a bundle is written from."""

from __future__ import annotations

from collections.abc import Mapping

from steerage.bundle import FromTemplate, Network
from steerage.bundle.network import Architecture
from steerage.metrics import METRICS
from steerage.space import Values
from steerage.synthesis.candidate import Bench, Trained
from steerage.synthesis.own_network import OwnNetwork


def as_network(bench: Bench, values: Values, trained: Trained, entry: Mapping[str, object]) -> Network:
    """``trained``, built of ``values``, for the data of ``bench``, with the errors in ``entry`` (``summary.entry``)."""
    dataset, template = bench.dataset, bench.template
    architecture: Architecture = (
        template.architecture if isinstance(template, OwnNetwork) else FromTemplate(template.name, values)
    )
    return Network(
        model=trained.model,
        architecture=architecture,
        spec=dataset.spec,
        preprocess=dataset.preprocess,
        cost=trained.cost,
        masks=trained.masks,
        classes=dataset.classes,
        target_name=dataset.target_name,
        group_name=dataset.group_name,
        target_mean=dataset.target_mean,
        target_std=dataset.target_std,
        error={name: entry[name] for name in METRICS if name in entry},
    )
