"""The sampler against Optuna's own suite for samplers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler

from steerage.search.sampler import SteerageSampler

suite = pytest.importorskip("optuna.testing.pytest_samplers", reason="Optuna publishes its suite since version 5")


class TestSteerageSampler(suite.BasicSamplerTestCase, suite.RelativeSamplerTestCase, suite.SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return SteerageSampler
