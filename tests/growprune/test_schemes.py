from __future__ import annotations

import pytest

from steerage.errors import BadArgument
from steerage.growprune.schemes import NAMES, Connections, Scheme, Units, auto, checked, destructive, gradual, named


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


def test_the_further_the_way_the_earlier_it_is_done() -> None:
    ends = [auto(expansion)[-1].at for expansion in (1.5, 10.0, 100.0)]
    assert ends == sorted(ends, reverse=True) and len(set(ends)) == 3
    assert all(checked(auto(expansion)) for expansion in (0.5, 3.0, 20.0, 1e4))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("convolutional", [False, True])
def test_every_name_is_a_scheme(name: str, convolutional: bool) -> None:
    scheme = named(name, convolutional=convolutional, expansion=10.0)
    assert checked(scheme) is scheme
    channels = [step for step in scheme if isinstance(step, Units) and step.change < 0]
    assert bool(channels) == (name == "A" or (name == "B" and convolutional))


def test_other_names_are_refused() -> None:
    with pytest.raises(BadArgument, match="auto, A, B, C"):
        named("D", convolutional=False, expansion=2.0)
