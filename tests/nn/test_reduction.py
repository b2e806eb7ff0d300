from __future__ import annotations

import pytest
import torch

from steerage.errors import BadArgument
from steerage.nn import Reduce
from steerage.nn.reduction import METHODS, Method, relevance


def rows(n: int = 200, features: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs whose columns 7 and 2 alone depend on the class."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(3, (n,), generator=generator)
    x = torch.randn(n, features, generator=generator)
    x[:, 7] += 3.0 * y
    x[:, 2] -= 2.0 * (y == 1)
    return x, y


@pytest.mark.parametrize("method", METHODS)
def test_before_fitting_the_first_inputs_pass_through(method: Method) -> None:
    x, _ = rows()
    assert torch.equal(Reduce(10, 4, method=method)(x), x[:, :4])


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_depends_on_the_seed_alone_and_travels_in_the_state(method: Method) -> None:
    x, y = rows()
    first, second, loaded = (Reduce(10, 4, method=method) for _ in range(3))
    first.fit_to(x, y, seed=3)
    torch.manual_seed(99)
    second.fit_to(x, y, seed=3)
    loaded.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))
    assert torch.equal(first(x), loaded(x))


@pytest.mark.parametrize("method", METHODS)
def test_fitting_leaves_the_global_generator_alone(method: Method) -> None:
    x, y = rows()
    state = torch.get_rng_state()
    Reduce(10, 4, method=method).fit_to(x, y, seed=0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("method", ["pca", "random"])
def test_projected_inputs_have_unit_variance_on_average(method: Method) -> None:
    x, y = rows()
    reduce = Reduce(10, 4, method=method)
    reduce.fit_to(5.0 * x, y, seed=0)
    assert reduce(5.0 * x).var(dim=0, correction=0).mean().item() == pytest.approx(1.0, abs=1e-4)


def test_pca_keeps_the_direction_of_most_variance() -> None:
    x, y = rows()
    x[:, 5] *= 100.0
    reduce = Reduce(10, 1, method="pca")
    reduce.fit_to(x, y, seed=0)
    assert reduce.projection is not None
    assert reduce.projection.abs().argmax().item() == 5


def test_select_keeps_the_columns_that_the_classes_depend_on() -> None:
    x, y = rows()
    reduce = Reduce(10, 2, method="select")
    reduce.fit_to(x, y, seed=0)
    assert reduce.index is not None
    assert reduce.index.tolist() == [2, 7]


def test_select_keeps_the_columns_that_a_target_depends_on() -> None:
    x, _ = rows()
    reduce = Reduce(10, 1, method="select")
    reduce.fit_to(x, 4.0 * x[:, 6] + x[:, 1], seed=0)
    assert reduce.index is not None
    assert reduce.index.tolist() == [6]


def test_relevance_ranks_columns_as_the_anova_f_value_does() -> None:
    from sklearn.feature_selection import f_classif

    x, y = rows()
    expected = f_classif(x.double().numpy(), y.numpy())[0].argsort()
    assert relevance(x, y).argsort().tolist() == expected.tolist()


@pytest.mark.parametrize("floats", [True, False])
def test_constant_columns_and_targets_explain_nothing(floats: bool) -> None:
    x, y = rows()
    x[:, 3] = 1.0
    assert relevance(x, y.float() if floats else y)[3] == 0.0
    constant = torch.ones(200) if floats else torch.zeros(200, dtype=torch.long)
    assert relevance(x, constant).abs().max() < 1e-9


def test_more_components_than_rows_leave_zeros() -> None:
    x, y = rows(n=4)
    reduce = Reduce(10, 8, method="pca")
    reduce.fit_to(x, y, seed=0)
    assert reduce.projection is not None
    assert reduce.projection.isfinite().all()
    assert reduce.projection[4:].count_nonzero() == 0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(BadArgument, match=r"\[1, 10\] for 10 features, got 11"):
        Reduce(10, 11, method="pca")
    with pytest.raises(BadArgument, match="pca, random, select, got 'ica'"):
        Reduce(10, 2, method="ica")  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match=r"\(n, 10\)"):
        Reduce(10, 2, method="pca").fit_to(torch.ones(5, 9), torch.ones(5), seed=0)
