"""Which of several trained networks to go on with: what shows, what is noise, and what experience says."""

from __future__ import annotations

from collections.abc import Sequence

from steerage.space import Key, Space, Values
from steerage.synthesis.feasible import starting_points
from steerage.synthesis.stage import Finalist, Run
from steerage.training.evaluate import Scores

HALF = 0.5  # of the standard error of a validation figure: a difference below that shows nothing


def with_experience(run: Run, best: Sequence[Values], ranked: Sequence[Values]) -> list[Values]:
    """``best``, of which the last gives way to the best starting point of the template if there is none among them.

    Short trials favour small networks, which come to their end sooner. In a hurry they say nothing else, and the
    template's best bet is all that is promoted, if it is among the trials at all.
    """
    space, starts = starting_keys(run)
    if run.plan.hurried and (bets := [values for values in ranked if space.key(values) in starts[:1]]):
        return bets[:1]
    if len(best) < 2 or any(space.key(values) in starts for values in best):
        return [*best]
    known = [values for values in ranked if space.key(values) in starts]
    return [*best[:-1], known[0]] if known else [*best]


def starting_keys(run: Run) -> tuple[Space, list[Key]]:
    """The space of the run, and the keys of its ``starting_points``."""
    space = run.bench.template.space(run.bench.dataset.spec)
    return space, [space.key(values) for values in starting_points(run.bench)]


def helped(run: Run, shorter: Scores, longer: Scores) -> bool:
    """Whether to train for longer: by the loss, which tells it on few rows too, or an error that is clearly lower."""
    return longer.telling < shorter.telling or longer.error < shorter.error - noise(run, shorter)


def better(run: Run, before: Scores, now: Scores, *, margin: float = 0.0) -> bool:
    """Whether ``now`` is better by the loss, which tells it on few rows too, and its error no higher but for what does
    not show. ``margin``: the share of the loss by which it has to be.
    """
    return now.telling < (1.0 - margin) * before.telling and now.error <= before.error + HALF * noise(run, before)


def error_noise(run: Run, error: float) -> float:
    """Standard error of a validation figure of about ``error``."""
    return noise(run, Scores(min(1.0, max(0.0, error)), 0.0, len(run.bench.validation_rows)))


def noise(run: Run, scores: Scores) -> float:
    """Standard error of the validation figure in ``scores``."""
    return scores.standard_error(regression=run.bench.dataset.spec.task == "regression")


def preferred(run: Run, finalists: Sequence[Finalist]) -> Finalist:
    """The best of ``finalists``; the best of the template's own starting points where the difference is within noise.

    On a few hundred validation rows candidates differ by three or four of them, which is luck. What experience says
    then decides, and the search has to beat it by more than a standard error, and in the loss as well, which tells a
    lucky network from a good one on few rows.
    """
    best, expected = _lowest(finalists), expected_of(run, finalists)
    if expected is None:
        return best
    scores, others = best.trained.scores, expected.trained.scores
    beaten = others.objective - scores.objective >= noise(run, others) and scores.telling < others.telling
    return best if beaten else expected


def expected_of(run: Run, finalists: Sequence[Finalist]) -> Finalist | None:
    """The best of those that are starting points of the template; None where none is."""
    space, starts = starting_keys(run)
    known = [finalist for finalist in finalists if space.key(finalist.values) in starts]
    return _lowest(known) if known else None


def _lowest(finalists: Sequence[Finalist]) -> Finalist:
    return min(finalists, key=lambda finalist: finalist.trained.scores.objective)
