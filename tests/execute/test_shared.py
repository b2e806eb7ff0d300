from __future__ import annotations

from pathlib import Path

import torch

from steerage.execute.shared import mapped, share


def test_tensors_come_back_as_they_were_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    tensors = {"x": torch.arange(12, dtype=torch.uint8).reshape(3, 4).T, "y": torch.ones(3), "none": torch.zeros(0, 2)}
    share(tmp_path / "data", tensors)
    found = mapped(tmp_path / "data")
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], one) and found[name].dtype == one.dtype for name, one in tensors.items())
    found["y"] += 1.0
    assert torch.equal(mapped(tmp_path / "data")["y"], torch.ones(3))
