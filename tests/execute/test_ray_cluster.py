"""Facts about a Ray cluster as an executor; what lost nodes cost is shown by ``benchmarks/scale.py``."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from steerage.errors import BadArgument, MissingDependency
from steerage.execute import RayExecutor, WorkerLost
from steerage.synthesis import synthesize
from steerage.templates.registry import load_template
from tasks import table


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayExecutor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'steerage-nn[ray]')")
        ray.init(num_cpus=1, log_to_driver=False, include_dashboard=False)
        yield RayExecutor()
        ray.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_tasks_are_done_and_what_goes_wrong_is_told(cluster: RayExecutor) -> None:
    assert cluster.places == 1
    assert cluster.submit(torch.get_num_threads).result() == 1
    assert "there is no template" in str(cluster.submit(load_template, "none such").exception())
    assert isinstance(cluster.submit(os._exit, 7).exception(), WorkerLost)
    assert cluster.submit(os.getpid).result() != os.getpid()


@pytest.mark.filterwarnings("ignore")
def test_a_run_on_a_cluster_is_the_same_as_here(cluster: RayExecutor, tmp_path: Path) -> None:
    results = [
        synthesize(
            table(), trials=4, epochs=12, ahead=2, local=False, out=tmp_path / name, jobs=jobs, executor=executor
        )
        for name, jobs, executor in (("here", 1, None), ("there", 2, cluster))
    ]
    rankings = [(result.folder / "ranking.csv").read_text() for result in results]
    assert rankings[0] == rankings[1]


def test_without_ray_one_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'steerage-nn\[ray\]'"):
        RayExecutor()
    with pytest.raises(MissingDependency):
        synthesize(table(), ray="auto")
    with pytest.raises(BadArgument, match="one of them"):
        synthesize(table(), ray="auto", executor=object())  # type: ignore[arg-type]
