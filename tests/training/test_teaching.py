"""What a teacher adds to the classes of rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from steerage.data import Dataset
from steerage.nn.feedforward import FeedForward
from steerage.training.fit import Steps, Training, loss_of, train
from steerage.training.recipe import Recipe
from steerage.training.stacked.loop import stackable
from steerage.training.teaching import SHARE, Teaching
from tasks import convolutional, pictures, table

PICTURES = pictures()
RECIPE = Recipe(batch_size=20, precision="float32")


class Noted(nn.Module):
    """A network that keeps what it is asked about."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.asked = model, list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        self.asked.append(x.clone())
        answer: Tensor = self.model(x)
        return answer


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_the_most_of_what_is_learnt_is_what_the_teacher_says(task: str) -> None:
    many = task == "multilabel"
    y = torch.tensor([[1.0, 0.0], [1.0, 1.0]]) if many else torch.tensor([1, 0])
    data = replace(PICTURES, spec=replace(PICTURES.spec, task=task))
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Dropout(0.5))
    inputs = torch.randn(2, 1, 8, 8)
    found = Teaching(teacher).target(inputs, y, data)
    outputs = teacher(inputs)  # without dropout: it was left in evaluation mode
    known = y if many else torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    said = outputs.sigmoid() if many else outputs.softmax(dim=1)
    assert torch.allclose(found, (1 - SHARE) * known + SHARE * said) and not found.requires_grad
    assert SHARE > 0.5
    assert loss_of(torch.randn(2, 2), found, data, 0.0).ndim == 0


def test_the_teacher_is_asked_about_the_changed_images() -> None:
    data = replace(PICTURES, augment=replace(PICTURES.augment, shift=0.2))
    teacher, seen = Noted(convolutional()), list[Tensor]()
    torch.manual_seed(0)
    pupil = convolutional()
    pupil[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    before = [weight.clone() for weight in teacher.parameters()]
    for _ in train(Training(pupil, RECIPE, seed=0, teacher=teacher), data, torch.arange(96), effort=Steps(6)):
        pass
    assert len(seen) == len(teacher.asked) == 6
    assert all(map(torch.equal, seen, teacher.asked))
    assert not torch.equal(seen[0].sort(dim=0).values, data.prepare(data.x[:20]).sort(dim=0).values)
    assert all(map(torch.equal, before, teacher.parameters()))


def errors(data: Dataset, teacher: nn.Module | None) -> float:
    """Share of rows on which a pupil of wrong classes is wrong."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    wrong = replace(data, y=(data.y + torch.arange(len(data.y)) % 3) % 3)  # of each class a third is right
    recipe = Recipe(batch_size=20, lr=0.02, precision="float32")
    for _ in train(
        Training(model, recipe, seed=0, teacher=teacher), wrong, torch.arange(len(data.y)), effort=Steps(200)
    ):
        pass
    model.eval()
    return (model(data.x).argmax(dim=1) != data.y).float().mean().item()


def test_a_pupil_learns_from_its_teacher_what_its_own_classes_hide() -> None:
    data = table()
    torch.manual_seed(0)
    teacher = nn.Linear(6, 3)
    for _ in train(
        Training(teacher, Recipe(batch_size=20, lr=0.05), seed=0), data, torch.arange(len(data.y)), effort=Steps(200)
    ):
        pass
    assert errors(data, teacher) < 0.5 * errors(data, None)


def test_what_has_a_teacher_is_for_the_loop_that_takes_any() -> None:
    pupil = FeedForward([8], inputs=6, outputs=3)
    assert stackable(Training(pupil, RECIPE, seed=0), table())
    assert not stackable(Training(pupil, RECIPE, seed=0, teacher=FeedForward([8], inputs=6, outputs=3)), table())
