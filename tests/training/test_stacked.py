from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steerage import store
from steerage.data import Dataset
from steerage.errors import BadArgument, TrainingFailed
from steerage.nn.feedforward import FeedForward
from steerage.nn.fit_inputs import fit_inputs
from steerage.space import Value
from steerage.templates import Mlp
from steerage.training import fit
from steerage.training.evaluate import predict
from steerage.training.fit import Steps, Tick, Training, train
from steerage.training.recipe import Recipe
from steerage.training.stacked.chain import chain_of
from steerage.training.stacked.loop import Run, stackable, train_stacked
from tasks import convolutional, numbers, perceptron, pictures, table

TABLE, NUMBERS, PICTURES = table(), numbers(), pictures()
WEIGHTED = replace(TABLE, weights=torch.arange(len(TABLE.y)).remainder(3).float())
TOLD = replace(TABLE, y=torch.rand(len(TABLE.y), 3, generator=torch.Generator().manual_seed(0)).softmax(dim=1))
ROWS = torch.arange(96)


@dataclass(frozen=True)
class Candidate:
    """A network of the mlp template and its recipe; batches of 20 rows are 4 an epoch."""

    genes: dict[str, Value]
    recipe: Recipe

    def training(self, data: Dataset, seed: int = 0) -> Training:
        template = Mlp()
        torch.manual_seed(seed)
        model = template.build({**template.baseline(data.spec), **self.genes}, data.spec)
        fit_inputs(model, data.prepare(data.x), data.y, seed=seed)
        return Training(model, self.recipe, seed=seed)


PLAIN = Recipe(batch_size=20)
CANDIDATES = (
    Candidate({"depth": 1, "width": 5, "activation": "gelu"}, replace(PLAIN, lr=0.02, weight_decay=0.3)),
    Candidate({"depth": 3, "width": 33, "taper": 0.5, "skips": True}, replace(PLAIN, input_noise=0.1, ema=0.9)),
    Candidate({"depth": 2, "width": 16, "activation": "silu", "skips": True}, replace(PLAIN, label_smoothing=0.1)),
    Candidate({"depth": 2, "width": 70, "activation": "gelu"}, replace(PLAIN, warmup=0.3, decay="linear")),
    Candidate({"depth": 1, "width": 20, "bins": 8}, PLAIN),
)
DROPPING = tuple(
    Candidate({**one.genes, "dropout": 0.1 + 0.1 * place}, one.recipe) for place, one in enumerate(CANDIDATES)
)


def stacked(trainings: Sequence[Training], data: Dataset, steps: int = 14) -> list[object]:
    """Train to the end; how each ended."""
    ended: dict[Run, object] = {}
    runs = [Run(one, ROWS, Steps(steps)) for one in trainings]
    for run, told in train_stacked(runs, data):
        if not isinstance(told, Tick):
            ended[run] = told
    return [ended[run] for run in runs]


def alone(training: Training, data: Dataset, steps: int = 14) -> None:
    for _ in train(training, data, ROWS, effort=Steps(steps)):
        pass


def numbers_of(training: Training) -> list[Tensor]:
    state = training.state()
    moments = [value for one in state["moments"] for value in one.values()]
    tensors = [*state["model"].values(), *state["average"].values(), *moments]
    return [one.float() for one in tensors]


def same(one: Training, other: Training) -> bool:
    ours, theirs = one.state(), other.state()
    kept = all(torch.equal(ours["generators"][name], theirs["generators"][name]) for name in ours["generators"])
    return kept and all(torch.equal(a, b) for a, b in zip(numbers_of(one), numbers_of(other), strict=True))


@pytest.mark.parametrize(
    "data",
    [TABLE, NUMBERS, WEIGHTED, TOLD, replace(TOLD, weights=WEIGHTED.weights)],
    ids=["classes", "a number", "weights", "probabilities", "probabilities, weights"],
)
def test_a_stack_gives_what_separate_trainings_give(data: Dataset) -> None:
    together = [one.training(data, seed) for seed, one in enumerate(CANDIDATES)]
    assert stacked(together, data) == [None] * len(CANDIDATES)
    for seed, (one, ours) in enumerate(zip(CANDIDATES, together, strict=True)):
        theirs = one.training(data, seed)
        alone(theirs, data)
        assert (ours.step, ours.epoch, ours.batch) == (theirs.step, theirs.epoch, theirs.batch) == (14, 3, 2)
        for a, b in zip(numbers_of(ours), numbers_of(theirs), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-5)


def test_images_are_changed_by_the_training_s_own_generator() -> None:
    together = [one.training(PICTURES, seed) for seed, one in enumerate(CANDIDATES)]
    stacked(together, PICTURES)
    for seed, (one, ours) in enumerate(zip(CANDIDATES, together, strict=True)):
        theirs = one.training(PICTURES, seed)
        alone(theirs, PICTURES)
        assert torch.equal(ours.noise.get_state(), theirs.noise.get_state())
        # Not the weights: those of pixels that are never lit follow what rounding leaves of their gradients.
        a, b = (predict(training.model, PICTURES, PICTURES.x) for training in (ours, theirs))
        torch.testing.assert_close(a, b, rtol=0.0, atol=0.02)


class Drawn(nn.Module):
    """Dropout of 16 random bits a unit, as a stack draws it, from PyTorch's own generator."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = bits[: x.numel()].view(x.shape) >= round(self.rate * 2**16) - 2**15
        return x * kept / (1.0 - self.rate)


def test_dropout_of_a_stack_is_that_of_the_training_s_own_generator() -> None:
    together = [one.training(TABLE, seed) for seed, one in enumerate(DROPPING)]
    stacked(together, TABLE)
    for seed, (one, ours) in enumerate(zip(DROPPING, together, strict=True)):
        theirs = one.training(TABLE, seed)
        net = theirs.model.get_submodule("net")
        assert isinstance(net, FeedForward)
        for layer in net.hidden:
            layer.dropout = Drawn(float(one.genes["dropout"]))
        alone(theirs, TABLE)
        for a, b in zip(numbers_of(ours), numbers_of(theirs), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("place", range(len(DROPPING)))
def test_what_is_beside_a_training_changes_nothing(place: int) -> None:
    together, itself = [one.training(TABLE, 7) for one in DROPPING], DROPPING[place].training(TABLE, 7)
    stacked(together, TABLE)
    stacked([itself], TABLE)
    assert same(together[place], itself)


def test_one_that_leaves_or_fails_does_not_disturb_the_others() -> None:
    wild = Candidate(DROPPING[1].genes, replace(PLAIN, lr=1e38))
    leaving, failing, *staying = (one.training(TABLE, 3) for one in (DROPPING[0], wild, *DROPPING[2:]))
    runs = [Run(one, ROWS, Steps(14)) for one in (leaving, failing, *staying)]
    ended: dict[Run, object] = {}
    for run, told in train_stacked(runs, TABLE):
        if not isinstance(told, Tick):
            ended[run] = told
        elif run is runs[0]:
            run.leaves = True
    assert ended[runs[0]] is None and leaving.step == 4
    assert isinstance(ended[runs[1]], TrainingFailed) and "lower learning rate" in str(ended[runs[1]])
    for one, ours in zip(DROPPING[2:], staying, strict=True):
        theirs = one.training(TABLE, 3)
        stacked([theirs], TABLE)
        assert same(ours, theirs)


def test_trainings_of_other_lengths_and_rows_share_a_stack() -> None:
    together = [one.training(TABLE) for one in DROPPING[:3]]
    efforts = [(torch.arange(50), 5), (torch.arange(120), 21), (torch.arange(20, 110), 12)]
    for _ in train_stacked(
        [Run(one, rows, Steps(steps)) for one, (rows, steps) in zip(together, efforts, strict=True)], TABLE
    ):
        pass
    for one, ours, (rows, steps) in zip(DROPPING, together, efforts, strict=False):
        theirs = one.training(TABLE)
        for _ in train_stacked([Run(theirs, rows, Steps(steps))], TABLE):
            pass
        assert ours.step == steps and same(ours, theirs)


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_training_that_was_stopped_in_a_stack_goes_on_alone(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "TICK_SECONDS", -1.0)
    straight = [one.training(TABLE) for one in DROPPING]
    stacked(straight, TABLE)
    stopped = [one.training(TABLE) for one in DROPPING]
    runs = [Run(one, ROWS, Steps(14)) for one in stopped]
    for run, told in train_stacked(runs, TABLE):
        if isinstance(told, Tick) and told.step == stop and run is runs[-1]:
            for place, one in enumerate(stopped):
                store.save_tree(tmp_path / str(place), one.state())
            break
    for place, one in enumerate(DROPPING):
        resumed = one.training(TABLE, seed=9)
        resumed.restore(store.load_tree(tmp_path / str(place)))
        stacked([resumed], TABLE)
        assert same(resumed, straight[place])


def test_what_a_caller_does_to_a_network_after_a_step_holds() -> None:
    together = [one.training(TABLE) for one in DROPPING[:3]]

    def halve(training: Training) -> None:
        with torch.no_grad():
            for parameter in training.model.parameters():
                parameter[::2] = 0.0

    for _ in train_stacked([Run(one, ROWS, Steps(9), halve) for one in together], TABLE):
        pass
    for training in together:
        assert all((parameter[::2] == 0.0).all() for parameter in training.model.parameters())
        assert any(parameter[1::2].any() for parameter in training.model.parameters())


def test_networks_have_memory_of_their_own_in_the_end() -> None:
    together = [one.training(TABLE) for one in DROPPING]
    stacked(together, TABLE)
    for training in together:
        for tensor in [*training.model.parameters(), *training.model.buffers()]:
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size() and tensor.grad is None


def without_norm() -> nn.Module:
    return FeedForward([8], inputs=6, outputs=3, norm=False)


def frozen() -> nn.Module:
    model = FeedForward([8], inputs=6, outputs=3)
    model.output.weight.requires_grad_(False)
    return model


def tanh() -> nn.Module:
    return FeedForward([8], inputs=6, outputs=3, activation="tanh")


def hooked() -> nn.Module:
    model = FeedForward([8], inputs=6, outputs=3)
    model.register_forward_pre_hook(lambda *_: None)
    return model


@pytest.mark.parametrize("build", [perceptron, convolutional, without_norm, frozen, tanh, hooked])
def test_other_networks_are_for_the_loop_that_takes_any(build: Callable[[], nn.Module]) -> None:
    training = Training(build(), PLAIN, seed=0)
    assert chain_of(training.model) is None and not stackable(training, TABLE)
    with pytest.raises(BadArgument, match="feed-forward networks under AdamW"):
        next(train_stacked([Run(training, ROWS, Steps(2))], TABLE))


@pytest.mark.parametrize("recipe", [replace(PLAIN, optimizer="sgd"), replace(PLAIN, precision="bfloat16")])
def test_other_recipes_are_for_the_loop_that_takes_any(recipe: Recipe) -> None:
    assert not stackable(Training(FeedForward([8], inputs=6, outputs=3), recipe, seed=0), TABLE)


def test_several_targets_are_for_the_loop_that_takes_any() -> None:
    training = Training(FeedForward([8], inputs=6, outputs=3), PLAIN, seed=0)
    assert stackable(training, TABLE)
    assert not stackable(training, replace(NUMBERS, y=torch.zeros(len(NUMBERS.y), 3)))


def test_batches_of_two_sizes_are_two_stacks() -> None:
    runs = [Run(Candidate({}, replace(PLAIN, batch_size=size)).training(TABLE), ROWS, Steps(2)) for size in (20, 30)]
    with pytest.raises(BadArgument, match="batches of one size"):
        next(train_stacked(runs, TABLE))
