"""How the effort that the user allows is split over the phases of a synthesis."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from steerage.errors import BadArgument

# Shares of the minutes at which each phase must have ended. What is left at the end is for evaluation, saving and the
# report.
BASELINE_ENDS, SEARCH_ENDS, PROMOTION_ENDS, LOCAL_ENDS, ABSORPTION_ENDS = 0.05, 0.38, 0.56, 0.82, 0.95
TRIALS_WANTED = 16  # a search in fewer trials is little more than its start
PROMOTED = 3


@dataclass(frozen=True)
class Effort:
    """What the user allows: ``minutes``; or ``trials`` and ``epochs`` of the final training, the same everywhere.

    With ``minutes``, ``trials`` is an upper bound. Raises: BadArgument for values that are not positive, and for
    ``minutes`` beside ``epochs``.
    """

    minutes: float | None = None
    trials: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not value > 0:
                raise BadArgument(f"{name} must be positive, got {value}")
        if self.minutes is not None and self.epochs is not None:
            raise BadArgument("minutes and epochs exclude each other: give minutes, or trials and epochs")

    @property
    def timed(self) -> bool:
        return self.minutes is not None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def effort_from(minutes: float | None, trials: int | None, epochs: int | None) -> Effort:
    """Effort with what is not given filled in: ten minutes, or beside trials or epochs 20 trials and 60 epochs."""
    if minutes is None and trials is None and epochs is None:
        return Effort(minutes=10.0)
    if minutes is not None:
        return Effort(minutes=minutes, trials=trials, epochs=epochs)
    return Effort(trials=trials or 20, epochs=epochs or 60)


@dataclass(frozen=True)
class Plan:
    """Effort per training of each phase, in seconds on the run's clock or in epochs.

    ``total``: seconds that the run may take; infinite when effort is counted in epochs.
    """

    effort: Effort
    local_only: bool = False
    search_only: bool = False

    @property
    def total(self) -> float:
        return 60.0 * self.effort.minutes if self.effort.minutes is not None else float("inf")

    def ends(self, phase: str) -> float:
        """Second of the run at which ``phase`` must have ended."""
        shares = {
            "baseline": BASELINE_ENDS,
            "search": SEARCH_ENDS,
            "promotion": PROMOTION_ENDS,
            "local": LOCAL_ENDS,
            "absorption": ABSORPTION_ENDS,
        }
        if self.search_only:  # the time of the local search goes to more trials and longer promotion
            shares |= {"search": 0.60, "promotion": 0.80, "local": 0.80}
        if self.local_only:
            shares |= {"baseline": 0.0, "search": 0.0, "promotion": 0.0, "local": 0.75}
        return shares[phase] * self.total

    def trial_seconds(self, now: float) -> float:
        """Training seconds per trial, from what the search has left at its start."""
        return max(0.2, (self.ends("search") - now) / TRIALS_WANTED)

    def epochs(self, phase: str) -> int:
        """Epochs per training when effort is counted in epochs."""
        full = self.effort.epochs or 1
        shares = {"baseline": 0.5, "search": 0.25, "promotion": 0.5, "local": 1.0, "absorption": 0.35}
        return max(1, round(full * shares[phase]))
