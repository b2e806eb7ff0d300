"""Grow-and-prune in a loop of one's own: any optimizer, accumulation, autocast, averages, compiled, distributed."""

from __future__ import annotations

import copy
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from steerage import Budget, GrowPrune
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.schemes import gradual
from tasks import clouds, convolutional, perceptron

BUDGET, SCHEME, STEPS = Budget(max_params=120), gradual(start=0.1, end=0.7, steps=6, exchange=0.2), 30
X, Y = (torch.as_tensor(part) for part in clouds(96))
X = X.float()


def network() -> nn.Module:
    torch.manual_seed(0)
    return perceptron()


def loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    editor: GrowPrune,
    *,
    first: int = 0,
    last: int = STEPS,
    forward: Callable[[Tensor], Tensor] | None = None,
    pieces: int = 1,
    after: Callable[[], None] = lambda: None,
) -> None:
    """What a user has, and two lines of ours."""
    for step in range(first, last):
        optimizer.zero_grad()
        for x, y in zip(X.chunk(pieces), Y.chunk(pieces), strict=True):
            loss = F.cross_entropy((forward or model)(x), y) / pieces
            loss.backward()
        optimizer.step()
        editor.step(optimizer, (step + 1) / STEPS)
        after()
    if last == STEPS:
        editor.finish(optimizer)


def assert_delivered(model: nn.Module, editor: GrowPrune) -> None:
    small, masks = compact(model.eval(), (6,), masks=editor.masks)
    assert sum(edit.grown for edit in editor.edits) > 0
    # Up to the last one, unless a unit has died since the last edit.
    assert 114 <= masking.active(masks) + sum(p.numel() for p in small.parameters() if p.ndim == 1) <= 120
    assert torch.allclose(small(X), model(X), atol=1e-5)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "plain": lambda p: torch.optim.SGD(p, lr=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.003),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_will_do(name: str) -> None:
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters())
    editor = GrowPrune(model, BUDGET, (6,), SCHEME)
    loop(model, optimizer, editor)
    assert_delivered(model, editor)
    for parameter, moments in optimizer.state.items():
        name = next(name for name, one in model.named_parameters() if one is parameter)
        for value in moments.values():
            if name in editor.masks and isinstance(value, Tensor) and value.shape == parameter.shape:
                assert value.isfinite().all()


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    whole, pieces = network(), network()
    masks = []
    for model, count in ((whole, 1), (pieces, 4)):
        model.double()
        editor = GrowPrune(model, BUDGET, (6,), SCHEME)
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        loop(model, optimizer, editor, pieces=count, forward=lambda x, model=model: model(x.double()))
        masks.append(editor.masks)
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


def test_in_autocast() -> None:
    model = network()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    editor = GrowPrune(model, BUDGET, (6,), SCHEME)

    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y: Tensor = model(x)
        return y.float()

    loop(model, optimizer, editor, forward=forward)
    assert_delivered(model, editor)


def test_an_average_of_the_weights_takes_the_masks_at_the_end() -> None:
    model = network()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    editor = GrowPrune(model, BUDGET, (6,), SCHEME)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    loop(model, optimizer, editor, after=lambda: average.update_parameters(model))
    masking.apply_(average.module, editor.masks)
    small, _ = compact(average.module.eval(), (6,), masks=editor.masks)
    assert torch.allclose(small(X), average.module(X), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_compiled() -> None:
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    editor = GrowPrune(model, BUDGET, (6,), SCHEME)
    compiled = torch.compile(model, backend="eager")
    loop(model, optimizer, editor, forward=compiled)
    assert_delivered(model, editor)


@pytest.mark.parametrize("stop", [2, 11, 26])
def test_saved_and_loaded_it_goes_on_bit_for_bit(stop: int, tmp_path: Path) -> None:
    straight = network()
    editor, optimizer = GrowPrune(straight, BUDGET, (6,), SCHEME), OPTIMIZERS["adamw"](straight.parameters())
    loop(straight, optimizer, editor)

    model = network()
    halves = GrowPrune(model, BUDGET, (6,), SCHEME), OPTIMIZERS["adamw"](model.parameters())
    loop(model, halves[1], halves[0], last=stop)
    kept = {"model": model.state_dict(), "optimizer": halves[1].state_dict(), "editor": halves[0].state_dict()}
    torch.save(kept, tmp_path / "state.pt")

    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    model = network()
    editor_again, again = GrowPrune(model, BUDGET, (6,), SCHEME), OPTIMIZERS["adamw"](model.parameters())
    model.load_state_dict(saved["model"])
    again.load_state_dict(saved["optimizer"])
    editor_again.load_state_dict(saved["editor"])
    loop(model, again, editor_again, first=stop)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), straight.parameters(), strict=True))
    assert editor_again.edits == editor.edits


def test_channels_of_a_convolutional_network_in_a_loop() -> None:
    torch.manual_seed(0)
    model = convolutional()
    x, y = torch.randn(32, 1, 8, 8), torch.arange(32) % 2
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    editor = GrowPrune(model, Budget(max_params=150), (1, 8, 8), SCHEME)
    for step in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        editor.step(optimizer, (step + 1) / STEPS)
    editor.finish(optimizer)
    before = copy.deepcopy(model).eval()
    small, _ = compact(model.eval(), (1, 8, 8), masks=editor.masks)
    assert torch.allclose(small(x), before(x), atol=1e-5)


def _worker(rank: int, port: int, folder: str) -> None:
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    model = network()
    wrapped = DistributedDataParallel(model)
    optimizer = OPTIMIZERS["adamw"](wrapped.parameters())
    editor = GrowPrune(model, BUDGET, (6,), SCHEME)
    loop(model, optimizer, editor, forward=lambda x: wrapped(x[rank::2].repeat_interleave(2, dim=0)))
    torch.save({"masks": editor.masks, "grown": sum(edit.grown for edit in editor.edits)}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_distributed_processes_have_the_same_masks(tmp_path: Path) -> None:
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_worker, args=(port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["grown"] == second["grown"] > 0
    assert all(torch.equal(mask, second["masks"][name]) for name, mask in first["masks"].items())
