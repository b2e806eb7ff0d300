"""Schemes as data: a tuple of steps, each at a moment of the training and with what to do there.

A step says which share of the way from the dense network to the target is done after it, and how many of the remaining
connections are exchanged: the weakest leave and as many dormant ones with the largest gradient come.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from steerage.errors import BadArgument


@dataclass(frozen=True)
class Step:
    """At ``at`` (share of the training effort, in [0, 1)): prune so far that ``done`` in [0, 1] of the way is done.

    ``done=1`` is the target itself. ``exchange`` in [0, 1): share of the connections left after the step that are
    grown by gradient instead of kept by magnitude.
    """

    at: float
    done: float
    exchange: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.at < 1.0 and 0.0 <= self.done <= 1.0 and 0.0 <= self.exchange < 1.0):
            raise BadArgument(f"{self} is outside its ranges: at and exchange in [0, 1), done in [0, 1]")


Scheme: TypeAlias = "tuple[Step, ...]"


def checked(scheme: Scheme) -> Scheme:
    """``scheme`` if its steps are in order and end at the target. Raises: BadArgument."""
    if not scheme or scheme[-1].done != 1.0:
        raise BadArgument("a scheme needs at least one step, and its last one must have done=1")
    if any(later.at < earlier.at for earlier, later in pairwise(scheme)):
        raise BadArgument("the steps of a scheme must be in the order of their moments 'at'")
    return scheme


def gradual(*, start: float = 0.2, end: float = 0.75, steps: int = 32, exchange: float = 0.0) -> Scheme:
    """Cubic pruning (Zhu & Gupta, arXiv 1710.01878, eq. 1) in small steps, fine-tuning after ``end``.

    ``exchange`` fades to zero with the schedule, so that the last connections have time to be trained.
    """
    moments = [(index + 1) / steps for index in range(steps)]
    return checked(
        tuple(
            Step(
                at=start + (end - start) * moment,
                done=1.0 - (1.0 - moment) ** 3,
                exchange=exchange * (1.0 - moment),
            )
            for moment in moments
        )
    )


def rounds(*, start: float = 0.2, end: float = 0.75, count: int = 6, restore: float = 0.3) -> Scheme:
    """Scheme B (SCANN, arXiv 1904.09090): prune hard, grow some back, train; each round to a lower count.

    ``restore``: share of the connections left after a round that were grown back in it.
    """
    moments = [(index + 1) / count for index in range(count)]
    return checked(
        tuple(
            Step(
                at=start + (end - start) * moment,
                done=1.0 - (1.0 - moment) ** 2,
                exchange=restore if moment < 1.0 else 0.0,
            )
            for moment in moments
        )
    )
