"""How the effort that the user allows is split over the phases of a synthesis."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from steerage.errors import BadArgument

# Shares of the minutes at which each phase must have ended; what is left after the last one is for evaluation, saving
# and the report. Where the minutes allow few epochs, candidates can hardly be told apart: the time is better spent on
# training the one that is delivered.
ENDS = {"baseline": 0.05, "search": 0.33, "promotion": 0.68, "refit": 0.98}
SIZED_ENDS = {"baseline": 0.05, "sizing": 0.20, "search": 0.42, "promotion": 0.72, "refit": 0.98}
# What is told of made-up rows goes on helping when a table's own rows are long known by heart.
TAUGHT_ENDS = {"baseline": 0.05, "search": 0.27, "promotion": 0.54, "refit": 0.98}
TAUGHT_SIZED_ENDS = {"baseline": 0.05, "sizing": 0.18, "search": 0.35, "promotion": 0.56, "refit": 0.98}
AUGMENTED_ENDS = {**ENDS, "promotion": 0.48}
SCARCE_ENDS = {**ENDS, "search": 0.20, "promotion": 0.34}
SCARCE_CHECKED_ENDS = {**SCARCE_ENDS, "promotion": 0.53}  # few epochs can be too many, where the rows are few
HURRIED_ENDS = {**ENDS, "search": 0.12, "promotion": 0.24}
# Times as long as the others the winner of the promotion is trained again, one after the other for as long as it helps:
# first for shorter, and where that does not help for longer.
SHORTER, LONGER = (0.4, 0.15, 0.06), (2.5, 6.0)
FEWEST_SECONDS = 0.2  # of a shorter training: in fewer a network does not even come to its size
FEWEST_EPOCHS = 8  # of a shorter training: in fewer no rows are known by heart, and what is less trained is luckier
# Of the time between promotion and the end of the refit. The refit of a table is as much longer than the distillation
# as there are more rows; that of images is to be many times as long as what its teacher was trained.
BEFORE_REFIT = {"distillation": 0.5, "teacher": 0.2}
# Each of up to six networks of a front gets at least twice the time of a trial.
FRONT_ENDS = {"baseline": 0.05, "search": 0.50, "promotion": 0.98}
SEARCH_ONLY_ENDS = {"baseline": 0.05, "search": 0.65, "promotion": 0.98}
# A published network as the measure is trained as long as what is to beat it.
LIKE_ENDS = {"baseline": 0.25, "search": 0.52, "promotion": 0.72, "refit": 0.98}
LOCAL_ONLY_ENDS = {"local": 0.75, "absorption": 0.98}
# Of the time after the promotion, where the local search is to find a size as well.
WAY_DOWN = {"trajectory": 0.5, "polish": 0.85, "absorption": 1.0}
LAST_END = 0.98
# Seconds, and share of the minutes, that are kept at most for what comes after the last training; it takes about as
# long as what came before the first: either is imports above all, and a slow machine is slow at both.
LONGEST_CLOSING, MOST_CLOSING = 8.0, 0.1
SCARCE_EPOCHS = 1500  # in the whole run; below, the refit would have fewer than 400, and more of them still help
HURRIED_EPOCHS = 150  # in the whole run; below, a trial has a few epochs, which show only who learns fastest
TRIALS_WANTED, TRIALS_WHEN_SCARCE, TRIALS_WHEN_HURRIED = 16, 6, 3
TRIALS_PER_JOB = 4  # at least, else those that are under way at a time would know nothing of each other
MIN_TRIAL_SECONDS = 3.0  # shorter ones are fewer instead: each costs the program a fifth of a second of its own
RUNGS_FROM = 40  # trials; with fewer, looking at the rungs costs as much as is saved by those few that rest
PROMOTED, PROMOTED_WHEN_SCARCE = 3, 2
FRONT, FRONT_WHEN_SCARCE = 6, 3


@dataclass(frozen=True)
class Effort:
    """What the user allows: ``minutes``; or ``trials`` and ``epochs`` of the final training, the same everywhere.

    With ``minutes``, ``trials`` is an upper bound; beside ``epochs``, which are the effort then, ``minutes`` bound one
    call, after which the run rests. Raises: BadArgument for values that are not positive.
    """

    minutes: float | None = None
    trials: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not 0 < value < float("inf"):
                raise BadArgument(f"{name} must be positive and finite, got {value:g}; give a number such as 10")

    @property
    def timed(self) -> bool:
        """Whether the time decides how much is done; else the epochs do, on every machine alike."""
        return self.minutes is not None and self.epochs is None

    @property
    def seconds_per_call(self) -> float | None:
        """After how many seconds a call is over, whatever is left to do; None where it ends with its work."""
        return 60.0 * self.minutes if self.minutes is not None and not self.timed else None

    def to_json(self) -> dict[str, Any]:
        """What makes two runs the same; how long a call may take is not part of it."""
        return asdict(self) if self.timed else {**asdict(self), "minutes": None}


def effort_from(minutes: float | None, trials: int | None, epochs: int | None) -> Effort:
    """Effort with what is not given filled in: ten minutes, or beside trials or epochs 20 trials and 60 epochs."""
    if minutes is None and trials is None and epochs is None:
        return Effort(minutes=10.0)
    if minutes is not None and epochs is None:
        return Effort(minutes=minutes, trials=trials)
    return Effort(minutes=minutes, trials=20 if trials is None else trials, epochs=60 if epochs is None else epochs)


@dataclass(frozen=True)
class Plan:
    """Effort per training of each phase, in seconds on the run's clock or in epochs.

    ``total``: seconds that the run may take; infinite when effort is counted in epochs. ``begun``, ``over``: the second
    of the run at which what was left was split, and the share of the work that was over then (``split_anew``).
    ``closing``: seconds that what comes after the last phase will take, where its share is less.
    ``scarce``: the minutes allow less than ``SCARCE_EPOCHS`` epochs; ``hurried``: less than ``HURRIED_EPOCHS``.
    ``augmented``: the rows are changed each time that they are seen, so no training is too long, and the last one takes
    what time there is.
    ``patience``: rounds in a row that promise next to nothing before the search ends early; None for never, which is
    the default since the promise is a prediction from a dozen trials, and the time was given. ``full``: every trial is
    trained to its end; else, of many, those that are behind rest where the ranking can be trusted. ``pareto``: the
    cost, "params" or "macs", whose front with the error is wanted in place of one network; of a search alone.
    ``scheme``: name of the scheme of all trainings but the trials. ``way_down``: the local search goes through many
    sizes, since a size or a front is wanted of it. ``like``: a published network is the baseline, and is to be trained
    as long as what is delivered. ``jobs``: trainings that go on at a time. ``sized``: the size of the
    network is a choice, too. ``distill``: the winner for a table learns from made-up rows as well, where the epochs are
    many, one for images from a larger network, where there are many for each of its parameters.
    ``most_seconds``, ``most_epochs``: of a trial and of what the promotion begins with, since more of them know the
    rows by heart, as sizing has found. ``most_params``: the bound below which it chose a size.
    """

    effort: Effort
    begun: float = 0.0
    over: float = 0.0
    closing: float = 0.0
    local_only: bool = False
    search_only: bool = False
    scarce: bool = False
    augmented: bool = False
    hurried: bool = False
    patience: int | None = None
    full: bool = False
    pareto: str | None = None
    way_down: bool = False
    scheme: str = "auto"
    like: bool = False
    jobs: int = 1
    sized: bool = False
    distill: bool = False
    most_seconds: float = math.inf
    most_epochs: float = math.inf
    most_params: int | None = None

    @property
    def total(self) -> float:
        return 60.0 * self.effort.minutes if self.effort.timed and self.effort.minutes else float("inf")

    def ends(self, phase: str) -> float:
        """Second of the run at which ``phase`` must have ended."""
        left = self.total - self.begun
        left -= max(0.0, self.closing - (1.0 - LAST_END) * left)
        return self.begun + (self._share(phase) - self.over) / (1.0 - self.over) * left

    def split_anew(self, now: float, *, after: str | None = None) -> Plan:
        """The plan if ``after`` is over at ``now`` only, or if without it nothing could begin before.

        What is left is split as all of it would have been. Where imports and processes of workers take a good part of
        a minute, the trainings after the search would have next to no time else.
        """
        if after is not None:
            return replace(self, begun=now, over=self._share(after))
        closing = min(now, LONGEST_CLOSING, MOST_CLOSING * self.total)
        return replace(self, begun=now, over=0.0, closing=closing)

    def _share(self, phase: str) -> float:
        """Of the time since the run has begun, over when ``phase`` has ended."""
        if self.way_down and phase in WAY_DOWN:
            begun = 0.0 if self.local_only else self._share("promotion")
            return begun + WAY_DOWN[phase] * (LAST_END - begun)
        if phase in BEFORE_REFIT:
            begun = self._share("promotion")
            return begun + BEFORE_REFIT[phase] * (self._share("refit") - begun)
        return self._shares[phase]

    @property
    def _shares(self) -> dict[str, float]:
        if self.local_only:
            return LOCAL_ONLY_ENDS
        if self.pareto is not None:
            return FRONT_ENDS
        if self.search_only:
            return SEARCH_ONLY_ENDS
        if self.like:
            return LIKE_ENDS
        if self.hurried:
            return HURRIED_ENDS
        if self.scarce:
            return SCARCE_ENDS if self.augmented else SCARCE_CHECKED_ENDS
        if self.distill and not self.augmented:
            return TAUGHT_SIZED_ENDS if self.sized else TAUGHT_ENDS
        return SIZED_ENDS if self.sized else AUGMENTED_ENDS if self.augmented else ENDS

    @property
    def taught(self) -> bool:
        """Whether the winner learns once more, from made-up rows as well, where longer training does not help it."""
        return self.distill and not self.augmented and not self.scarce

    @property
    def has_teacher(self) -> bool:
        """Whether the winner may learn from a larger network what that sees in each changed image."""
        return self.distill and self.augmented and not (self.like or self.way_down or self.search_only)

    @property
    def confirms(self) -> bool:
        """Whether what beats the template's starting points has to do so on other validation rows, too."""
        return not (self.scarce or self.augmented or self.search_only)

    @property
    def promoted(self) -> int:
        """How many candidates are trained again, longer."""
        if self.pareto is not None:
            return FRONT_WHEN_SCARCE if self.scarce else FRONT
        return PROMOTED_WHEN_SCARCE if self.scarce else PROMOTED

    @property
    def longer(self) -> tuple[float, ...]:
        """How many times as long the winner of the promotion is trained again, each if the one before helped.

        What sizing found to be too long is not tried again, and the longest takes longer than scarce minutes allow.
        """
        if self.hurried or self.augmented or self.search_only:
            return ()
        return LONGER if math.isinf(self.most_seconds) and not self.scarce else LONGER[:1]

    @property
    def shorter(self) -> tuple[float, ...]:
        """The same for shorter times, which come first."""
        return SHORTER if self.longer else ()

    @property
    def trials(self) -> int:
        """How many trials the search is to have."""
        if self.effort.trials is not None:
            return self.effort.trials
        if self.hurried and not self.search_only:
            return self._for_all(TRIALS_WHEN_HURRIED)
        if self.scarce:
            return self._for_all(TRIALS_WHEN_SCARCE)
        affordable = self.jobs * (self.ends("search") - self.ends("baseline")) / MIN_TRIAL_SECONDS
        wanted = max(TRIALS_WANTED, TRIALS_PER_JOB * self.jobs)
        return self._for_all(int(min(wanted, max(TRIALS_WHEN_SCARCE, affordable))))

    def _for_all(self, trials: int) -> int:
        """``trials``, or a few more, so that no job is without one."""
        return math.ceil(trials / self.jobs) * self.jobs

    @property
    def in_rungs(self) -> bool:
        """Whether trials that are behind may rest."""
        return not self.full and self.trials >= RUNGS_FROM

    @property
    def first_trials(self) -> int:
        """How many of them are spread evenly before the predictor has its say: half, but 4 at least and 10 at most."""
        return min(10, max(4, self.trials // 2))

    def trial_seconds(self, now: float) -> float:
        """Training seconds per trial, from what the search has left at its start."""
        return min(self.most_seconds, max(0.2, (self.ends("search") - now) / math.ceil(self.trials / self.jobs)))

    def measured(self, epochs_per_second: float) -> Plan:
        """The plan for a machine and data on which a typical candidate makes so many epochs in a second."""
        if not self.effort.timed:
            return self
        epochs = epochs_per_second * (self.total - self.begun)
        return replace(self, scarce=epochs < SCARCE_EPOCHS, hurried=epochs < HURRIED_EPOCHS)

    def epochs(self, phase: str) -> int:
        """Epochs per training when effort is counted in epochs."""
        full = self.effort.epochs or 1
        shares = {"baseline": 0.5, "sizing": 0.3, "search": 0.15, "promotion": 1 / max(LONGER), "refit": 1.0}
        shares |= {"baseline": 1.0} if self.like else {}
        shares |= {"teacher": 0.25, "local": 1.0, "absorption": 0.35, "trajectory": 1.0, "polish": 0.25}
        if self.pareto is not None or self.search_only:  # nothing comes after it
            shares["promotion"] = 1.0
        most = self.most_epochs if phase in ("search", "promotion") else math.inf
        return max(1, round(min(most, full * shares[phase])))
