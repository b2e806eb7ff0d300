"""The global search as an Optuna sampler: a thin adapter over ``propose``, by Optuna's public interface."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from steerage.errors import BadArgument
from steerage.search import curves
from steerage.search.evolution import Violation
from steerage.search.propose import EXPLORATION, START, CostFeatures, Observation, anywhere, costless, propose
from steerage.search.propose_front import Cost, propose_front
from steerage.search.trials import RESUMES, Constraints, observation, origin, started_trials, total_violation
from steerage.search.vocabulary import Vocabulary
from steerage.seeds import child_seed
from steerage.space import Key, Space, Value, Values

BATCH = 1  # trials between two fits; the sequential search needs fewest of them
KEPT = 100_000  # violations in memory, and as many costs


@final
@dataclass(frozen=True)
class _Seat:
    """A trial in the order of a search.

    ``values``: its point, or None if it is unknown or outside of the space, ``key`` that of the space. ``blind``: it
    got a proposal, and there is no telling which.
    """

    trial: FrozenTrial
    values: dict[str, Value] | None
    blind: bool
    key: Key | None = None


@final
class SteerageSampler(BaseSampler):
    """Sobol start, then evolution of expected improvement, by a model that is fitted anew after every ``batch`` trials.

    Without a ``space`` the search space is the intersection of those of the finished trials, as with Optuna's own
    samplers; the first trial is then random, and so is every parameter outside of the intersection. ``violation`` and
    ``cost_features`` receive the values of a candidate and answer before it is trained: none that violates is proposed.
    ``constraints_func`` and ``Trial.set_constraint`` tell what only the trial showed, at most 0 where a bound is kept;
    a finished trial for which the function raises or returns nothing has violated. A single objective in either
    direction. The same seed and the same trials give the same proposals, in any process; threads and processes that
    share a study get different ones. With ``cost``, a positive figure that is known before training, proposals are made
    for the whole front of the objective and log cost (see ``propose_front``); the study keeps its one objective.

    Raises: BadArgument for a ``start`` or ``batch`` below 1; when asked, BadArgument for several objectives or a cost
    that is not positive and finite, and InfeasibleBudget if no candidate without violation is found.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        space: Space | None = None,
        violation: Violation = anywhere,
        cost_features: CostFeatures = costless,
        constraints_func: Constraints | None = None,
        cost: Cost | None = None,
        start: int = START,
        batch: int = BATCH,
        exploration: float = EXPLORATION,
    ) -> None:
        if start < 1 or batch < 1:
            raise BadArgument(f"start and batch must be positive, got {start} and {batch}")
        self._seed, self._space, self._start, self._batch = seed, space, start, batch
        self._exploration, self._cost = exploration, cost
        self._violation, self._cost_features, self._constraints_func = violation, cost_features, constraints_func
        self._judged: dict[str, tuple[Vocabulary, dict[Key, float]]] = {}  # figures of points by kind, of what space
        self._constraints: dict[tuple[str, int], float] = {}  # what constraints_func said, in all, by study and number
        self._given: dict[tuple[str, int], dict[str, Any]] = {}  # what a trial was told, until all of it is stored
        self._latest: tuple[tuple[str, Vocabulary, tuple[int, ...], int], list[dict[str, Value]]] | None = None
        self._settled: tuple[tuple[str, Vocabulary], dict[int, _Seat | None]] | None = None  # seats of finished trials
        self._observed: dict[int, Observation] = {}  # what they told, of those that came to their end
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock, which can neither be pickled nor copied."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Nothing to do: seeds belong to trials, by number, whichever worker runs them."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Distributions that ``sample_relative`` proposes values for."""
        if self._space is not None:
            return dict(self._space.distributions)
        shared = intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)
        return {name: one for name, one in shared.items() if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Next candidate, as values of ``search_space``; one that was tried before if there is no other left."""
        _refuse_several_objectives(study)
        if not search_space or RESUMES in trial.user_attrs:  # it has the values of the one whose place it takes
            return {}
        words = Vocabulary(self._space) if self._space is not None else Vocabulary.of(search_space)
        with self._lock:
            seats = self._seats(study, words, but=trial.number)
            values = self._next(study, words, seats, until=origin(trial)) or self._again(words, seats, trial.number)
            params = words.params(values or {})
            self._given[study.study_name, trial.number] = params
        return {name: value for name, value in params.items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Random value, the same for the same seed, trial number and name."""
        _refuse_several_objectives(study)
        seed = child_seed(self._seed, "independent", trial.number, param_name)
        return RandomSampler(seed=seed).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Ask ``constraints_func`` about a trial that is complete. Raises: what it raises; BadArgument for a nan."""
        if self._constraints_func is None or state != TrialState.COMPLETE:
            return
        constraints = self._constraints_func(trial)
        if constraints is None or any(math.isnan(one) for one in constraints):
            raise BadArgument(f"constraints_func must return numbers, got {constraints!r} for trial {trial.number}")
        self._constraints[study.study_name, trial.number] = total_violation(constraints)

    def upcoming(self, study: Study, space: Space) -> dict[str, Value] | None:
        """What the next trial of ``study`` is to try; None if there is nothing left."""
        words = Vocabulary(space)
        with self._lock:
            return self._next(study, words, self._seats(study, words))

    def proposals(self, study: Study, space: Space) -> list[dict[str, Value]]:
        """The whole batch that the next trial of ``study`` belongs to."""
        words = Vocabulary(space)
        with self._lock:
            seats = self._seats(study, words)
            return [*self._round(study, words, seats[: self._begin(len(seats))])]

    def _begin(self, place: int) -> int:
        """Place of the first trial of the batch to which the trial at ``place`` belongs."""
        return 0 if place < self._start else place - (place - self._start) % self._batch

    def _seats(self, study: Study, words: Vocabulary, *, but: int | None = None) -> list[_Seat]:
        """Started trials that count in the search of ``words.space``, except number ``but``, in order."""
        trials, study_name = started_trials(study), study.study_name
        if self._settled is None or self._settled[0] != (study_name, words):
            self._settled, self._observed = ((study_name, words), {}), {}
        settled, seats = self._settled[1], list[_Seat]()
        for one in trials:
            if one.number not in settled:
                if one.state.is_finished():
                    self._given.pop((study_name, one.number), None)
                seat = self._seat(one, words, self._given.get((study_name, one.number), {}))
                if seat is not None and seat.values is not None:
                    seat = replace(seat, key=words.space.key(seat.values))
                if one.state.is_finished():
                    settled[one.number] = seat
            else:
                seat = settled[one.number]
            if seat is not None and one.number != but:
                seats.append(seat)
        return seats

    def _seat(self, trial: FrozenTrial, words: Vocabulary, given: dict[str, Any]) -> _Seat | None:
        """Seat of ``trial``, which was told ``given``; None if it has nothing to do with the search."""
        names = words.space.names
        if all(name in trial.params for name in names):
            values = words.values(trial.params)
            # A value from off the grid counts for its neighbour, but its failure need not be the neighbour's.
            failed_beside = trial.state == TrialState.FAIL and values is not None and words.params(values) != {
                name: trial.params[name] for name in names
            }  # fmt: skip
            return _Seat(trial, None if failed_beside else values, blind=False)
        if not trial.state.is_finished():
            values = words.values({**given, **trial.params})
            return _Seat(trial, values, blind=values is None)
        if self._space is None or trial.state == TrialState.FAIL or not any(name in trial.params for name in names):
            return None
        # A gene that the objective did not ask for did nothing: it counts as if it had been in the middle.
        middle = words.params({gene.name: gene.from_unit(0.5) for gene in words.space.genes})
        return _Seat(trial, words.values({**middle, **trial.params}), blind=True)

    def _next(
        self, study: Study, words: Vocabulary, seats: Sequence[_Seat], *, until: int | None = None
    ) -> dict[str, Value] | None:
        """What the trial that began as number ``until`` is to try; None if there is nothing left."""
        before = [seat for seat in seats if until is None or origin(seat.trial) < until]
        begin = self._begin(len(before))
        used = {seat.key for seat in seats if seat.key is not None}

        def unused(known: Sequence[_Seat]) -> list[dict[str, Value]]:
            return [one for one in self._round(study, words, known) if words.space.key(one) not in used]

        fresh = unused(before[:begin])
        if not fresh and begin < len(seats):  # others, who were first, had the same ideas
            return next(iter(unused(seats)), None)
        # Trials that were begun before this one and have no values yet: theirs are the first proposals.
        blind = sum(seat.blind for seat in before[begin:])
        return fresh[min(blind, len(fresh) - 1)] if fresh else None

    def _again(self, words: Vocabulary, seats: Sequence[_Seat], number: int) -> dict[str, Value] | None:
        """A point that was tried and violates nothing, for trial ``number``; None if there is none."""
        violation = self._known_violation(words)
        tried = [seat.values for seat in seats if seat.values is not None and violation(seat.values) <= 0]
        rng = np.random.default_rng(child_seed(self._seed, "again", number))
        return tried[rng.integers(len(tried))] if tried else None

    def _round(self, study: Study, words: Vocabulary, before: Sequence[_Seat]) -> list[dict[str, Value]]:
        """Proposals of the batch that follows the trials ``before``, made at its first trial and kept."""
        # A batch is made once; a batch of one, whenever more is known.
        known = sum(one.trial.state.is_finished() for one in before) if self._batch == 1 else 0
        # By the trials themselves: as many others may be those that this batch was made for.
        name = (study.study_name, words, tuple(one.trial.number for one in before), known)
        if self._latest is None or self._latest[0] != name:
            # Trials under way elsewhere take what would be proposed first. Older ones without values are dead.
            recent = before[-max(self._start, self._batch) :]
            blind = sum(one.values is None and one.blind for one in recent)
            proposed = propose if self._cost is None else partial(propose_front, cost=self._known_cost(words))
            proposals = proposed(
                words.space,
                self._history(study, before),
                n=(self._batch if before else self._start) + blind,
                seed=self._seed,
                violation=self._known_violation(words),
                cost_features=lambda values: self._cost_features(words.params(values)),
                pending=[one.values for one in before if one.values is not None and not one.trial.state.is_finished()],
                start=self._start,
                exploration=self._exploration,
            )
            self._latest = (name, proposals[blind:])
        return self._latest[1]

    def _history(self, study: Study, before: Sequence[_Seat]) -> list[Observation]:
        """Observations of the finished trials ``before``."""
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        ends, known = curves.expected([one.trial for one in before]), self._observed
        found = []
        for one in before:
            number = one.trial.number
            if one.values is None or not one.trial.state.is_finished():
                continue
            if number in ends or number not in known:  # what is expected of one that stopped may change
                violation = self._shown_violation(study, one.trial)
                known[number] = observation(one.trial, one.values, sign=sign, violation=violation, end=ends.get(number))
            found.append(known[number])
        return found

    def _shown_violation(self, study: Study, trial: FrozenTrial) -> float:
        """Total violation in [0, inf] of the constraints of a finished trial."""
        name = (study.study_name, trial.number)
        if name not in self._constraints:
            total = 0.0
            if self._constraints_func is not None and trial.state != TrialState.FAIL:
                try:
                    total = total_violation(self._constraints_func(trial))
                except Exception:  # of a trial that was cut short, or that another study made: there is nothing to tell
                    total = math.inf
            self._constraints[name] = total
        # Since Optuna 5 a trial also has constraints of its own.
        return self._constraints[name] + total_violation([*getattr(trial, "constraints", {}).values()])

    def _known_violation(self, words: Vocabulary) -> Violation:
        return self._once("violation", words, self._violation)

    def _known_cost(self, words: Vocabulary) -> Cost:
        def checked(values: Values) -> float:
            assert self._cost is not None
            cost = self._cost(values)
            if not 0.0 < cost < math.inf:
                raise BadArgument(f"cost must be positive and finite, got {cost} for {dict(values)}")
            return cost

        return self._once("cost", words, checked)

    def _once(self, kind: str, words: Vocabulary, figure: Callable[[Values], float]) -> Callable[[Values], float]:
        """``figure`` of what the objective is told, as a function of a point that is computed once per point."""
        if kind not in self._judged or self._judged[kind][0] != words or len(self._judged[kind][1]) > KEPT:
            self._judged[kind] = (words, {})
        known = self._judged[kind][1]

        def once(values: Values) -> float:
            key = words.space.key(values)
            if key not in known:
                known[key] = figure(words.params(values))
            return known[key]

        return once


def _refuse_several_objectives(study: Study) -> None:
    """Raises: BadArgument, which is a ValueError as Optuna would have it."""
    if len(study.directions) != 1:
        raise BadArgument(f"SteerageSampler has one objective, the study has {len(study.directions)}")
