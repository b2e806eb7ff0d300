"""Schemes as data: a tuple of steps, each at a moment of the training, that one loop runs.

``Connections`` steps say how far on the way to the target the network is after them; ``Units`` steps let neurons and
channels come or leave, and ``FitRam`` as many as the RAM asks for; ``OnlyAdjacent`` gives up connections that skip
layers. A step of one's own is any object with ``at`` and ``apply``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from steerage.errors import BadArgument

if TYPE_CHECKING:
    from steerage.growprune.run import GrowPrune

Growth = Literal["duplicate", "random", "bridge"]
Removal = Literal["norm", "gain"]
Name = Literal["auto", "A", "B", "C"]
NAMES: tuple[Name, ...] = get_args(Name)
CROWDED = 0.25  # of the budget: what biases may take before units have to leave first
ROOM_FOR_UNITS = 0.15  # of the budget: what biases take when they have left
CLEARED = (0.03, 0.08, 0.14, 0.2)  # moments at which they leave, in equal parts


class Step(Protocol):
    """What happens at ``at``, a share of the training effort in [0, 1)."""

    @property
    def at(self) -> float: ...

    def apply(self, editor: GrowPrune) -> None:
        """Change the network and its masks by the methods of ``editor``."""


@dataclass(frozen=True)
class Connections:
    """Prune or grow so far that ``done`` in [0, 1] of the way from the first network to the target is done.

    ``done=1`` is the target itself; less than was done before is growth, by gradient. ``exchange`` in [0, 1): share of
    the connections there are after the step that are grown instead of kept.
    """

    at: float
    done: float
    exchange: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.at < 1.0 and 0.0 <= self.done <= 1.0 and 0.0 <= self.exchange < 1.0):
            raise BadArgument(f"{self} is outside its ranges: at and exchange in [0, 1), done in [0, 1]")

    def apply(self, editor: GrowPrune) -> None:
        editor.connect(self.done, self.exchange)


@dataclass(frozen=True)
class Units:
    """Let a share of the neurons and channels leave (``change`` in (-1, 0)) or as many come (``change`` in (0, 4]).

    ``by``: "norm" or "gain" name those that leave, in relation to the others of their layer; "duplicate" doubles the
    most active, "random" makes new ones, "bridge" places them where gradients behind a layer correlate most with what
    is before it. Operations and sources are in docs/grow-and-prune.md.
    """

    at: float
    change: float
    by: Growth | Removal

    def __post_init__(self) -> None:
        allowed = get_args(Removal) if self.change < 0 else get_args(Growth)
        if not (0.0 <= self.at < 1.0 and -1.0 < self.change <= 4.0 and self.change != 0.0) or self.by not in allowed:
            raise BadArgument(
                f"{self} is outside its ranges: at in [0, 1), change in (-1, 0) by norm or gain, or in (0, 4] by "
                "duplicate, random or bridge"
            )

    def apply(self, editor: GrowPrune) -> None:
        if self.change < 0:
            editor.remove_units(-self.change, self.by)
        else:
            editor.grow_units(self.change, self.by)


@dataclass(frozen=True)
class FitRam:
    """Let neurons and channels leave until the code fits the RAM: those that give least, of layers that crowd it."""

    at: float = 0.0

    def apply(self, editor: GrowPrune) -> None:
        editor.fit_ram()


@dataclass(frozen=True)
class OnlyAdjacent:
    """From here on layers read the layer before them alone: what skips layers leaves and does not come back."""

    at: float = 0.0

    def apply(self, editor: GrowPrune) -> None:
        editor.keep_adjacent()


Scheme: TypeAlias = "Sequence[Step]"


def checked(scheme: Scheme) -> Scheme:
    """``scheme`` if its steps are in order and end at the target. Raises: BadArgument."""
    last = scheme[-1] if scheme else None
    if not isinstance(last, Connections) or last.done != 1.0:
        raise BadArgument("a scheme needs at least one step, and its last one must be Connections with done=1")
    if any(later.at < earlier.at for earlier, later in pairwise(scheme)):
        raise BadArgument("the steps of a scheme must be in the order of their moments 'at'")
    return scheme


def gradual(*, start: float = 0.2, end: float = 0.75, steps: int = 32, exchange: float = 0.0) -> tuple[Step, ...]:
    """Cubic pruning (Zhu & Gupta, arXiv 1710.01878, eq. 1) in small steps, fine-tuning after ``end``.

    ``exchange`` fades to zero with the schedule, so that the last connections have time to be trained.
    """
    moments = [(index + 1) / steps for index in range(steps)]
    return tuple(
        Connections(start + (end - start) * moment, 1.0 - (1.0 - moment) ** 3, exchange * (1.0 - moment))
        for moment in moments
    )


def constructive(
    *,
    end: float = 0.75,
    first: float = 0.25,
    rounds: int = 6,
    peak: float = 0.9,
    exchange: float = 0.2,
    by: Growth = "duplicate",
) -> tuple[Step, ...]:
    """Scheme A (SCANN, arXiv 1904.09090): start tiny, grow units and connections in rounds, prune at the end.

    ``first``: share of the units that there are at the start; at the end of the rounds all are there again.
    ``peak`` in [0, 1]: how far on the way to the target the network still is when it is largest. ``exchange``: share of
    the connections that each round grows by gradient, whatever new units have brought along.
    """
    factor = (1.0 / first) ** (1.0 / rounds) - 1.0
    steps: list[Step] = [Units(0.0, first - 1.0, "norm"), Connections(0.0, 1.0)]
    grown = 0.6 * end
    for index in range(1, rounds + 1):
        at = grown * index / rounds
        steps += [Units(at, factor, by), Connections(at, 1.0 - (1.0 - peak) * index / rounds, exchange)]
    for part in (1.0 / 3.0, 2.0 / 3.0, 1.0):
        steps.append(Connections(grown + (end - grown) * part, 1.0 - (1.0 - peak) * (1.0 - part) ** 2))
    return tuple(steps)


def destructive(
    *, start: float = 0.2, end: float = 0.75, rounds: int = 6, restore: float = 0.3, channels: float = 0.0
) -> tuple[Step, ...]:
    """Scheme B (SCANN, arXiv 1904.09090): prune hard, grow some back, train; each round to a lower count.

    ``restore``: share of the connections left after a round that were grown back in it. ``channels`` in [0, 1): share
    of the units that leave before each of the first rounds, half of them in all at most, for convolutional networks.
    """
    steps: list[Step] = []
    for index in range(1, rounds + 1):
        moment = index / rounds
        at = start + (end - start) * moment
        if channels > 0.0 and moment <= 0.5:
            steps.append(Units(at, -channels, "gain"))
        steps.append(Connections(at, 1.0 - (1.0 - moment) ** 2, restore if moment < 1.0 else 0.0))
    return tuple(steps)


def adjacent(*, start: float = 0.2, end: float = 0.75, rounds: int = 6, restore: float = 0.3) -> tuple[Step, ...]:
    """Scheme C (SCANN): like B, but only connections between adjacent layers; a sparse perceptron in the end."""
    return (OnlyAdjacent(), *destructive(start=start, end=end, rounds=rounds, restore=restore))


def auto(expansion: float, crowding: float = 0.0) -> tuple[Step, ...]:
    """Gradual pruning with growth, for a network that is ``expansion`` times as dense as its target.

    The further the way, the earlier it begins and ends: of little that is left each connection needs more training,
    while a network that loses half of itself is best chosen from when it has been trained. ``crowding``: share of the
    parameters allowed that biases take, which no pruning of connections takes away; where it is large, units leave
    before, so that those that stay can be wired. The rates were chosen on validation rows, and do not depend on how
    long the training takes.
    """
    start, end = (0.2, 0.75) if expansion <= 3.0 else (0.1, 0.6) if expansion <= 20.0 else (0.05, 0.45)
    steps: list[Step] = [*gradual(start=start, end=end, exchange=0.02)]
    if crowding > CROWDED:
        change = (ROOM_FOR_UNITS / crowding) ** (1.0 / len(CLEARED)) - 1.0
        steps += [Units(at, change, "gain") for at in CLEARED]
    return tuple(sorted(steps, key=lambda step: step.at))


def named(name: str, *, convolutional: bool, expansion: float, crowding: float = 0.0) -> Scheme:
    """The scheme ``name``, with rates for a network that is ``expansion`` times as dense as its target.

    How they compare is in docs/grow-and-prune.md (``benchmarks/grow_prune.py ablation``). In B, channels
    of convolutional networks leave as well, if there are that many more than the target needs; in "auto" units of any
    network whose biases are more than a quarter of the target (``crowding``). Raises: BadArgument for an unknown name.
    """
    checked_name(name)
    if name == "A":
        return constructive()
    if name == "B":
        return destructive(channels=0.15 if convolutional and expansion > 4.0 else 0.0)
    return adjacent() if name == "C" else auto(expansion, crowding)


def checked_name(name: str) -> str:
    """``name`` of a scheme. Raises: BadArgument for one that is none of ``NAMES``."""
    if name not in NAMES:
        raise BadArgument(f"there is no scheme {name!r}; choose one of {', '.join(NAMES)}")
    return name
