from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from networks import network, pruned
from steerage.bundle import load_network, packed
from steerage.bundle.sparse import BITS, GAPS, OLD, restored, stored

SHAPES = {"weight": (7, 41), "bias": (7,)}


def masked(share: float, shape: tuple[int, ...] = SHAPES["weight"]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    mask = torch.rand(shape, generator=draw) < share
    return {"weight": torch.randn(shape, generator=draw) * mask, "bias": torch.randn(7, generator=draw)}, {
        "weight": mask
    }


@pytest.mark.parametrize("share", [0.0, 0.003, 0.05, 0.12, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(7, 41), (1, 1), (3, 2, 5, 5), (2, 4000)])
def test_what_was_stored_comes_back(share: float, shape: tuple[int, ...]) -> None:
    state, masks = masked(share, shape)
    tensors = stored(state, masks)
    assert len(tensors["weight"]) == int(masks["weight"].sum())
    again, active = restored(tensors, {**SHAPES, "weight": shape})
    assert again.keys() == state.keys() and active.keys() == masks.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)
    assert torch.equal(active["weight"], masks["weight"])


def test_few_entries_are_told_by_their_gaps_and_many_by_bits() -> None:
    few, many = stored(*masked(0.05)), stored(*masked(0.9))
    assert few.keys() == {"weight", "bias", f"{GAPS}weight"} and many.keys() == {"weight", "bias", f"{BITS}weight"}
    assert len(few[f"{GAPS}weight"]) == len(few["weight"]) < math.prod(SHAPES["weight"]) / 8
    assert len(many[f"{BITS}weight"]) == math.ceil(math.prod(SHAPES["weight"]) / 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{GAPS}weight": torch.tensor([200, 100, 0, 0, 0], dtype=torch.uint8)}, "beyond"),
        ({f"{GAPS}weight": torch.tensor([1, 2, 3, 4, 5], dtype=torch.uint8)}, "5 places for 2 entries"),
        ({f"{GAPS}weight": torch.tensor([0, 0], dtype=torch.uint8)}, "2 gaps for 287 entries"),
        ({f"{GAPS}weight": torch.tensor([0, 0])}, "must be bytes"),
        ({f"{BITS}weight": torch.zeros(35, dtype=torch.uint8)}, "35 bytes for 287"),
        ({f"{BITS}other": torch.zeros(1, dtype=torch.uint8)}, "of no tensor"),
    ],
)
def test_places_that_fit_nothing_are_refused(change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restored({"weight": torch.ones(2), "bias": torch.ones(7), **change}, SHAPES)


def test_dense_weights_beside_their_masks_are_read_as_they_used_to_be_written() -> None:
    state, masks = masked(0.3)
    again, active = restored({**state, f"{OLD}weight": masks["weight"].to(torch.uint8)}, SHAPES)
    assert torch.equal(again["weight"], state["weight"]) and torch.equal(active["weight"], masks["weight"])


def test_networks_of_the_first_version_are_read() -> None:
    folder = Path(__file__).parents[1] / "src" / "steerage" / "zoo" / "digits-1500" / "network"
    assert '"version": 1' in (folder / "network.json").read_text()
    network = load_network(folder)
    assert sum(int(mask.sum()) for mask in network.masks.values()) > 1400


def test_a_pruned_network_takes_the_bytes_of_what_is_left() -> None:
    dense, net = network("mlp"), pruned(network("mlp"))
    active = sum(int(mask.sum()) for mask in net.masks.values())
    whole = sum(mask.numel() for mask in net.masks.values())
    saved = len(packed(dense)["weights.safetensors"]) - len(packed(net)["weights.safetensors"])
    assert saved > 4 * (whole - active) - whole / 8 - 400  # names and offsets of the places
