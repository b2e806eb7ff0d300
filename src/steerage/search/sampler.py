"""The global search as an Optuna sampler: a thin adapter over ``propose``, by Optuna's public interface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from steerage.errors import BadArgument
from steerage.search.evolution import Violation
from steerage.search.propose import EXPLORATION, START, CostFeatures, Observation, anywhere, costless, propose
from steerage.seeds import child_seed
from steerage.space import Key, Space, Value, Values

BATCH = 4  # trials between two fits of the predictor
RESUMES = "resumes"  # user attribute of a trial: number of the interrupted one that it runs again
ORIGIN = "origin"  # user attribute of such a trial: number of the first of them
REPEATS = "repeats"  # user attribute of a trial that trains a candidate again: what the search calls its first trial


@final
class SteerageSampler(BaseSampler):
    """Sobol start, then evolution on a predictor that is fitted anew after every ``batch`` trials.

    Without a ``space`` the search space is the intersection of those of the finished trials, as with Optuna's own
    samplers; the first trial is then random. ``violation`` and ``cost_features`` receive the values of a candidate and
    answer before it is trained. A single objective in either direction. The same seed and the same trials give the
    same proposals, in any process.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        space: Space | None = None,
        violation: Violation = anywhere,
        cost_features: CostFeatures = costless,
        start: int = START,
        batch: int = BATCH,
        exploration: float = EXPLORATION,
    ) -> None:
        if start < 1 or batch < 1:
            raise BadArgument(f"start and batch must be positive, got {start} and {batch}")
        self._seed, self._space, self._start, self._batch = seed, space, start, batch
        self._exploration = exploration
        self._violation, self._cost_features = violation, cost_features
        self._violations: dict[tuple[tuple[str, ...], Key], float] = {}
        self._latest: tuple[tuple[str, tuple[str, ...], int], list[dict[str, Value]]] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Distributions that ``sample_relative`` proposes values for."""
        if self._space is not None:
            return dict(self._space.distributions)
        shared = intersection_search_space(study.get_trials(deepcopy=False))
        return {name: one for name, one in shared.items() if not one.single() and _is_plain(one)}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Next candidate, as values of ``search_space``; {} if there is no other left to try."""
        if len(study.directions) != 1:
            raise BadArgument(f"SteerageSampler has one objective, the study has {len(study.directions)}")
        if not search_space:
            return {}
        return self.upcoming(study, self._space or Space(search_space), until=trial.number) or {}

    def upcoming(self, study: Study, space: Space, *, until: int | None = None) -> dict[str, Value] | None:
        """What trial ``until`` (by default the next one) of ``study`` is to try; None if there is nothing left."""
        before = relevant_trials(study, space, until=until)
        place = len(before)
        begin = 0 if place < self._start else place - (place - self._start) % self._batch
        in_batch = {space.key(values_of(one, space)) for one in before[begin:]}
        return next((one for one in self._round(study, space, before[:begin]) if space.key(one) not in in_batch), None)

    def proposals(self, study: Study, space: Space) -> list[dict[str, Value]]:
        """The whole batch that the next trial of ``study`` belongs to."""
        before = relevant_trials(study, space)
        place = len(before)
        return self._round(
            study, space, before[: 0 if place < self._start else place - (place - self._start) % self._batch]
        )

    def _round(self, study: Study, space: Space, before: Sequence[FrozenTrial]) -> list[dict[str, Value]]:
        """Proposals of the batch that follows the trials ``before``, made at its first trial and kept."""
        name = (study.study_name, space.names, len(before))
        if self._latest is None or self._latest[0] != name:
            sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
            proposals = propose(
                space,
                [observation(one, space, sign=sign) for one in before if one.state.is_finished()],
                n=self._batch if before else self._start,
                seed=self._seed,
                violation=self._known_violation(space),
                cost_features=self._cost_features,
                pending=[values_of(one, space) for one in before if not one.state.is_finished()],
                start=self._start,
                exploration=self._exploration,
            )
            self._latest = (name, proposals)
        return self._latest[1]

    def _known_violation(self, space: Space) -> Violation:
        """The violation, computed once per point."""

        def violation(values: Values) -> float:
            key = (space.names, space.key(values))
            if key not in self._violations:
                self._violations[key] = self._violation(values)
            return self._violations[key]

        return violation

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Random value, the same for the same seed, trial number and name."""
        seed = child_seed(self._seed, "independent", trial.number, param_name)
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)


def relevant_trials(
    study: Study, space: Space, *, until: int | None = None, repeats: bool = False
) -> list[FrozenTrial]:
    """Started trials of ``space`` numbered below ``until``, in order; one that was run again keeps its first place.

    New trainings of a candidate that was tried already are left out unless ``repeats`` asks for them.
    """
    trials = study.get_trials(deepcopy=False)
    replaced = {one.user_attrs[RESUMES] for one in trials if RESUMES in one.user_attrs}
    kept = [
        one
        for one in trials
        if one.state != TrialState.WAITING
        and one.number not in replaced
        and (repeats or REPEATS not in one.user_attrs)
        and (until is None or one.number < until)
        and all(name in one.params for name in space.names)
    ]
    return sorted(kept, key=origin)


def origin(trial: FrozenTrial) -> int:
    """Number under which the trial was first started; its own unless it runs an interrupted one again."""
    return int(trial.user_attrs.get(ORIGIN, trial.number))


def values_of(trial: FrozenTrial, space: Space) -> dict[str, Value]:
    """Values of the genes of ``space`` in ``trial``."""
    return {name: trial.params[name] for name in space.names}


def observation(trial: FrozenTrial, space: Space, *, sign: float = 1.0) -> Observation:
    """What a finished trial tells: ``sign`` times its value, of a pruned one its last report; nothing means failed."""
    error = math.nan
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        error = sign * trial.value
    elif trial.state == TrialState.PRUNED and trial.last_step is not None:
        error = sign * trial.intermediate_values[trial.last_step]
    return Observation(values_of(trial, space), error, state="ok" if math.isfinite(error) else "failed")


def _is_plain(distribution: BaseDistribution) -> bool:
    """Whether every value is one that a space can hold."""
    if not isinstance(distribution, CategoricalDistribution):
        return True
    return all(isinstance(choice, bool | int | float | str) for choice in distribution.choices)
