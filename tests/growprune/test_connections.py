from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steerage.errors import BadArgument
from steerage.growprune import masks as masking
from steerage.growprune.connections import (
    Signals,
    gradient,
    grow,
    keep_best,
    keep_best_per_layer,
    keep_n_of_m,
    layer_adaptive,
    magnitude,
    output_scaled,
    prune,
    random,
)
from steerage.growprune.masks import Masks


def weights() -> dict[str, Tensor]:
    return {"a": torch.randn(5, 7), "b": torch.randn(4, 3, 2, 2), "c": 100 * torch.randn(2, 3)}


def half(like: dict[str, Tensor]) -> Masks:
    return {name: torch.rand_like(weight) < 0.5 for name, weight in like.items()}


@pytest.mark.parametrize("count", [0, 1, 17, 88, 89])
def test_exactly_the_best_are_kept(count: int) -> None:
    scores = magnitude(Signals(weights()))
    kept = keep_best(scores, count)
    assert masking.active(kept) == count
    inside = torch.cat([scores[name][kept[name]] for name in scores])
    outside = torch.cat([scores[name][~kept[name]] for name in scores])
    assert not len(inside) or not len(outside) or inside.min() >= outside.max()


@pytest.mark.parametrize("count", range(0, 13, 3))
def test_ties_do_not_change_the_count(count: int) -> None:
    scores = {"a": torch.ones(2, 3), "b": torch.zeros(6)}
    kept = keep_best(scores, count)
    assert masking.active(kept) == count
    assert all(
        torch.equal(mask, again) for mask, again in zip(kept.values(), keep_best(scores, count).values(), strict=True)
    )
    assert int(kept["a"].sum()) == min(count, 6)


@pytest.mark.parametrize("count", [1, 20, 60, 149])
def test_of_equal_ones_the_first_are_kept(count: int) -> None:
    scores = {"a": torch.randint(0, 4, (10, 9)).float(), "b": torch.randint(0, 4, (60,)).float()}
    flat = torch.cat([score.flatten() for score in scores.values()])
    expected = torch.zeros(150, dtype=torch.bool)
    expected[flat.argsort(descending=True, stable=True)[:count]] = True
    kept = keep_best(scores, count)
    assert torch.equal(torch.cat([mask.flatten() for mask in kept.values()]), expected)


def test_only_allowed_positions_are_kept() -> None:
    scores = magnitude(Signals(weights()))
    allowed = half(scores)
    kept = keep_best(scores, 10, among=allowed)
    assert masking.active(kept) == 10
    assert not any((kept[name] & ~allowed[name]).any() for name in kept)
    assert masking.active(keep_best(scores, masking.active(allowed), among=allowed)) == masking.active(allowed)


@pytest.mark.parametrize("count", [-1, 13])
def test_counts_that_cannot_be_kept_are_refused(count: int) -> None:
    with pytest.raises(BadArgument, match=f"cannot keep {count} connections out of 12"):
        keep_best({"a": torch.ones(3, 4)}, count)


def test_more_than_is_allowed_cannot_be_kept() -> None:
    with pytest.raises(BadArgument, match="out of 2"):
        keep_best({"a": torch.ones(3)}, 3, among={"a": torch.tensor([True, False, True])})


@pytest.mark.parametrize("count", [0, 1, 20])
def test_pruning_removes_so_many_and_adds_none(count: int) -> None:
    scores = magnitude(Signals(weights()))
    before = half(scores)
    after = prune(before, scores, count)
    assert masking.active(after) == masking.active(before) - count
    assert not any((after[name] & ~before[name]).any() for name in after)


@pytest.mark.parametrize("count", [0, 1, 20])
def test_growth_adds_so_many_and_deactivates_none(count: int) -> None:
    scores = gradient(Signals({}, weights()))
    before = half(scores)
    after = grow(before, scores, count)
    assert masking.active(after) == masking.active(before) + count
    assert not any((before[name] & ~after[name]).any() for name in after)


def test_growth_takes_the_dormant_ones_with_the_largest_scores() -> None:
    before = {"a": torch.tensor([[True, False], [False, False]])}
    after = grow(before, {"a": torch.tensor([[9.0, 1.0], [3.0, 2.0]])}, 1)
    assert after["a"].tolist() == [[True, False], [True, False]]


def test_what_is_pruned_and_grown_in_equal_numbers_keeps_the_count() -> None:
    scores = magnitude(Signals(weights()))
    before = half(scores)
    after = grow(prune(before, scores, 12), gradient(Signals({}, weights())), 12)
    assert masking.active(after) == masking.active(before)


def naive_lamp(weight: Tensor) -> Tensor:
    flat = weight.double().flatten().tolist()
    scores = [w * w / sum(v * v for v in flat if v * v >= w * w) for w in flat]
    return torch.tensor(scores, dtype=torch.float64).view_as(weight)


def test_layer_adaptive_scores_are_those_of_the_definition() -> None:
    layers = weights()
    for name, score in layer_adaptive(Signals(layers)).items():
        assert torch.allclose(score.double(), naive_lamp(layers[name]), rtol=1e-6)


def test_layer_adaptive_scores_do_not_depend_on_the_scale_of_a_layer() -> None:
    layers = weights()
    scaled = {name: weight * 2.0**20 for name, weight in layers.items()}
    assert all(
        torch.allclose(one, layer_adaptive(Signals(layers))[name])
        for name, one in layer_adaptive(Signals(scaled)).items()
    )


def test_layer_adaptive_scores_spare_the_last_connection_of_each_layer() -> None:
    layers = weights()
    kept = keep_best(layer_adaptive(Signals(layers)), len(layers))
    assert [int(mask.sum()) for mask in kept.values()] == [1] * len(layers)


def test_layer_adaptive_scores_of_zeros_are_zero() -> None:
    scores = layer_adaptive(Signals({"a": torch.tensor([0.0, 0.0, 2.0]), "b": torch.zeros(4)}))
    assert scores["a"].tolist() == [0.0, 0.0, 1.0]
    assert scores["b"].tolist() == [0.0] * 4


@pytest.mark.parametrize(("share", "counts"), [(1.0, [35, 48, 6]), (0.5, [18, 24, 3]), (1e-6, [1, 1, 1])])
def test_a_share_of_each_layer_is_kept_and_at_least_one(share: float, counts: list[int]) -> None:
    kept = keep_best_per_layer(magnitude(Signals(weights())), share)
    assert [int(mask.sum()) for mask in kept.values()] == counts


def test_a_share_of_what_is_allowed_of_each_layer_is_kept() -> None:
    scores = {"a": torch.arange(6.0), "b": torch.arange(4.0)}
    allowed = {"a": torch.arange(6) < 4, "b": torch.zeros(4, dtype=torch.bool)}
    kept = keep_best_per_layer(scores, 0.5, among=allowed)
    assert kept["a"].tolist() == [False, False, True, True, False, False]
    assert not kept["b"].any()


def test_random_growth_is_even_and_repeatable() -> None:
    masks = {"a": torch.zeros(40, 50, dtype=torch.bool), "b": torch.zeros(30, 10, 3, dtype=torch.bool)}

    def grown(seed: int) -> Masks:
        return grow(masks, random(torch.Generator().manual_seed(seed))(Signals(masks)), 1450)

    assert masking.active(grown(0)) == 1450
    assert abs(int(grown(0)["a"].sum()) - 1000) < 4 * (2900 * 0.5 * 0.5) ** 0.5
    assert all(torch.equal(grown(0)[name], grown(0)[name]) for name in masks)
    assert not torch.equal(grown(0)["a"], grown(1)["a"])


def test_full_growth_leaves_nothing_dormant() -> None:
    masks = half(weights())
    dormant = sum(mask.numel() for mask in masks.values()) - masking.active(masks)
    assert all(mask.all() for mask in grow(masks, magnitude(Signals(weights())), dormant).values())


def test_a_scaled_magnitude_is_what_the_layer_outputs() -> None:
    """A layer half as large before a norm is the same layer."""
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    conv, norm = model[0], model[1]
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None
    norm.running_var.uniform_(0.5, 2.0)
    with torch.no_grad():
        norm.weight.uniform_(-1.0, 1.0)
    score = output_scaled(model, (1, 2, 2))
    before = score(Signals(masking.weights(model)))
    assert model.training
    gain = norm.weight.detach().abs() / (norm.running_var + norm.eps).sqrt()
    assert torch.allclose(before["0.weight"].flatten(), conv.weight.detach().abs().flatten() * gain)
    assert torch.equal(before["4.weight"], magnitude(Signals(masking.weights(model)))["4.weight"])
    with torch.no_grad():
        conv.weight.mul_(0.5)
        norm.running_var.add_(norm.eps).mul_(0.25).sub_(norm.eps)
    assert torch.allclose(score(Signals(masking.weights(model)))["0.weight"], before["0.weight"])


@pytest.mark.parametrize("shape", [(5, 8), (5, 10), (4, 6, 3, 3), (3, 2)])
def test_n_of_m_neighbours_stay(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    mask = keep_n_of_m(magnitude(Signals({"a": weight})), 2, 4)["a"]
    assert mask.shape == weight.shape and mask.is_contiguous()
    for first in range(0, shape[1], 4):
        group, kept = weight[:, first : first + 4].abs(), mask[:, first : first + 4]
        size = group.shape[1]
        assert (kept.sum(dim=1) == min(2, size)).all()
        least = group.masked_fill(~kept, torch.inf).amin(dim=1)
        assert (least >= group.masked_fill(kept, 0.0).amax(dim=1)).all()


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4)])
def test_impossible_patterns_are_refused(n: int, m: int) -> None:
    with pytest.raises(BadArgument, match="0 < N <= M"):
        keep_n_of_m(magnitude(Signals(weights())), n, m)
