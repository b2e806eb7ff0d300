"""Fixtures for every test: fixed seeds, one thread, and the shared data sets where they are present."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

# The same examples each time: searching at random is what benchmarks/fuzz.py is for.
settings.register_profile("the same", derandomize=True)
settings.load_profile("the same")

# What a shell starts in the background ignores it otherwise, and so would every test of Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real data sets beside the project; the test is skipped where it is missing."""
    folder = (Path(__file__).resolve().parents[1] / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("the shared data sets are not on this machine (../shared/data)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
