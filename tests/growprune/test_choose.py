"""Facts about which scheme a name stands for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steerage.cost import Budget
from steerage.errors import BadArgument
from steerage.growprune import masks as masking
from steerage.growprune.choose import crowding, scheme_for
from steerage.growprune.run import GrowPrune
from steerage.growprune.schemes import ROOM_FOR_UNITS, Connections, Units, auto
from steerage.training.fit import Steps, Training, train
from steerage.training.recipe import Recipe
from tasks import convolutional, perceptron, pictures

SHAPE = (6,)  # of the perceptron's inputs; its biases are 49 of its 787 parameters


class Branching(nn.Module):
    """A network that no graph follows."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = perceptron()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inside(x if float(x.sum()) > 0 else -x)
        return y


def test_crowding_is_the_share_of_the_budget_that_biases_take() -> None:
    assert crowding(perceptron(), Budget(max_params=490), SHAPE) == pytest.approx(0.1)
    assert crowding(perceptron(), Budget(max_params=98), SHAPE) == pytest.approx(0.5)


def test_batch_norms_crowd_as_the_biases_that_they_become() -> None:
    assert crowding(convolutional(channels=10), Budget(max_params=44), (1, 8, 8)) == pytest.approx(0.5)


@pytest.mark.parametrize("budget", [Budget(), Budget(max_macs=10)], ids=str)
def test_nothing_crowds_where_parameters_have_no_bound(budget: Budget) -> None:
    assert crowding(perceptron(), budget, SHAPE) == 0.0


def test_units_leave_first_where_biases_crowd_the_budget() -> None:
    scheme = scheme_for("auto", perceptron(), Budget(max_params=98), SHAPE)
    leaving = [step for step in scheme if isinstance(step, Units)]
    staying = 1.0
    for step in leaving:
        staying *= 1.0 + step.change
    assert staying == pytest.approx(ROOM_FOR_UNITS / 0.5)
    last = next(step for step in reversed(scheme) if isinstance(step, Connections))
    assert max(step.at for step in leaving) < last.at


def test_no_unit_leaves_where_there_is_room() -> None:
    scheme = scheme_for("auto", perceptron(), Budget(max_params=400), SHAPE)
    assert scheme == auto(787 / 400)
    assert not any(isinstance(step, Units) for step in scheme)


def test_of_a_network_that_cannot_be_followed_no_unit_leaves() -> None:
    scheme = scheme_for("auto", Branching(), Budget(max_params=98), SHAPE)
    assert all(isinstance(step, Connections) for step in scheme)


def test_the_network_stays_in_training() -> None:
    model = perceptron().train()
    scheme_for("auto", model, Budget(max_params=98), SHAPE)
    assert model.training


def test_other_names_are_refused() -> None:
    with pytest.raises(BadArgument, match="auto, A, B, C"):
        scheme_for("D", perceptron(), Budget(max_params=98), SHAPE)


def test_a_crowded_budget_is_used_for_connections() -> None:
    data, rows, budget = pictures(), torch.arange(96), Budget(max_params=44)
    torch.manual_seed(0)
    training = Training(convolutional(channels=10), Recipe(batch_size=16, lr=0.01), seed=0)
    scheme = scheme_for("auto", training.model, budget, data.spec.input_shape)
    editor = GrowPrune(training.model, budget, data.spec.input_shape, scheme)
    hold = lambda now: editor.step(now.optimizer, now.progress)  # noqa: E731
    for _ in train(training, data, rows, effort=Steps(60), after_step=hold):
        pass
    editor.finish(training.optimizer)
    assert masking.active(editor.masks) > 22  # what its biases would have left
