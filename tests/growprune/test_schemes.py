from __future__ import annotations

import pytest

from steerage.errors import BadArgument
from steerage.growprune.schemes import Connections, Scheme, checked, destructive, gradual


@pytest.mark.parametrize(
    "scheme", [gradual(), gradual(steps=1), gradual(exchange=0.3), destructive(), destructive(rounds=1)], ids=str
)
def test_schemes_go_forward_from_start_to_target(scheme: Scheme) -> None:
    assert checked(scheme) is scheme
    assert [step.at for step in scheme] == sorted(step.at for step in scheme)
    assert [step.done for step in scheme] == sorted(step.done for step in scheme)
    assert (scheme[-1].done, scheme[-1].exchange) == (1.0, 0.0)
    assert scheme[-1].at == pytest.approx(0.75)


def test_gradual_pruning_is_cubic() -> None:
    scheme = gradual(start=0.0, end=0.5, steps=4)
    assert [step.done for step in scheme] == pytest.approx([1 - 0.75**3, 1 - 0.5**3, 1 - 0.25**3, 1])
    assert [step.at for step in scheme] == pytest.approx([0.125, 0.25, 0.375, 0.5])


def test_growth_fades_out_in_gradual_pruning() -> None:
    shares = [step.exchange for step in gradual(exchange=0.2)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] < 0.2


def test_every_round_but_the_last_grows_back() -> None:
    assert [step.exchange for step in destructive(rounds=3, restore=0.4)] == [0.4, 0.4, 0.0]


@pytest.mark.parametrize(
    ("scheme", "why"),
    [
        ((), "at least one step"),
        ((Connections(0.1, 0.5),), "done=1"),
        ((Connections(0.5, 0.5), Connections(0.2, 1.0)), "order"),
    ],
)
def test_schemes_that_lead_nowhere_are_refused(scheme: Scheme, why: str) -> None:
    with pytest.raises(BadArgument, match=why):
        checked(scheme)


@pytest.mark.parametrize(
    "step", [{"at": 1.0, "done": 1.0}, {"at": -0.1, "done": 1.0}, {"at": 0.5, "done": 1.1}, {"at": 0.5, "done": -0.1}]
)
def test_steps_outside_their_ranges_are_refused(step: dict[str, float]) -> None:
    with pytest.raises(BadArgument, match="outside its ranges"):
        Connections(**step)


@pytest.mark.parametrize("exchange", [-0.1, 1.0])
def test_nobody_exchanges_everything_or_less_than_nothing(exchange: float) -> None:
    with pytest.raises(BadArgument, match="outside its ranges"):
        Connections(0.5, 1.0, exchange)
