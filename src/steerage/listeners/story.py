"""A run as its events tell it: where it is, and what is worth a line in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from steerage import events
from steerage.metrics import METRICS

PHASES: Mapping[str, Sequence[str]] = {
    "synth": ("baseline", "search", "promotion", "refit"),
    "search": ("baseline", "search", "promotion"),
    "refine": ("local", "absorption"),
    "synth down": ("baseline", "search", "promotion", "trajectory", "polish", "absorption"),
    "refine down": ("trajectory", "polish", "absorption"),
}
# Which some runs have, and before which others.
BEFORE = {"sizing": "search", "distillation": "refit", "teacher": "refit"}
TITLES = {
    "baseline": "plain baseline",
    "sizing": "choice of a size",
    "search": "global search",
    "promotion": "longer training of the best",
    "distillation": "training on what trees and networks tell",
    "teacher": "training of a larger network to teach it",
    "refit": "grow and prune, validation rows included",
    "local": "grow and prune",
    "trajectory": "grow and prune through all sizes",
    "polish": "training on at the sizes that promise most",
    "absorption": "final training, validation rows included",
}
TRIALS_PER_LINE = 10
# The baseline knows no budget, the last training no validation.
CHOOSING = ("promotion", "distillation", "local", "polish")


class Story:
    """State of a run for whoever shows it. ``hear`` takes the events, the rest is read.

    ``title``: what it is about. ``seconds``: what the run may take, None where that is not limited. ``clock``: active
    seconds of the run so far.
    """

    def __init__(self, kind: str, title: str, *, clock: Callable[[], float], seconds: float | None) -> None:
        self.phases, self.title, self.clock, self.seconds = PHASES[kind], title, clock, seconds
        self.metric = METRICS["error"]
        self.target_std: float | tuple[float, ...] = 1.0
        self.wanted: int | None = None  # trials, where they are counted
        self.phase: str | None = None
        self.trials = self.failed = 0
        self.resting: set[int] = set()  # trials that stopped at a rung and did not go on
        self.best: float | None = None
        self.best_name = ""
        self.round: int | None = None
        self.tau: float | None = None
        self.gain: float | None = None
        self.training: events.Training | None = None
        self._trained: events.NetworkTrained | None = None  # the best of this phase
        self._errors: dict[int, list[float]] = {}  # of each candidate, by the number of its first trial

    def hear(self, event: object) -> list[str]:
        """Take in one event; lines for a log, if it is worth any."""
        if isinstance(event, events.Training):
            self.training = event
        elif isinstance(event, events.RunStarted) and event.settings.get("straighten"):
            return ["images are put upright before a network sees them"]
        elif isinstance(event, events.PhaseStarted):
            lines = self.end_of_phase()
            self.phase = event.phase
            if event.phase in BEFORE and event.phase not in self.phases:
                at = self.phases.index(BEFORE[event.phase])
                self.phases = (*self.phases[:at], event.phase, *self.phases[at:])
            return lines
        elif isinstance(event, events.SizeChosen):
            self.phase = self.training = self._trained = None
            return [f"{TITLES['sizing']}: at most {event.max_params:,} parameters"]
        elif isinstance(event, events.Taught):
            lines, by = self.end_of_phase(), told_by(event.networks, event.rounds)
            return [*lines, f"taught by {by}: {'kept' if event.kept else 'no better, left'}"]
        elif isinstance(event, events.TeacherTrained):
            found = "tells the last training what it sees" if event.better else "is not better by far, left"
            return [*self.end_of_phase(), f"the teacher of {event.params:,} parameters {found}"]
        elif isinstance(event, events.TrialFinished):
            self.resting.discard(event.number)
            self._take_in(event)
            return self._counted(event.number)
        elif isinstance(event, events.TrialStopped):
            self.resting.add(event.number)
            return self._counted(event.number)
        elif isinstance(event, events.TrialFailed):
            self.trials, self.failed = max(self.trials, event.number + 1), self.failed + 1
            return [f"trial {event.number} failed: {event.reason}"]
        elif isinstance(event, events.TrialLost):
            return [f"trial {event.number} begins again: {event.reason}"]
        elif isinstance(event, events.StorageAway):
            return [f"the study's storage is away, waiting for it: {event.reason}"]
        elif isinstance(event, events.StorageBack):
            return [f"the study's storage is back after {event.seconds:.0f} s"]
        elif isinstance(event, events.FrontFound):
            lines = self.end_of_phase()
            places = len(event.trials)
            noun = {"params": "parameters", "macs": "MACs"}.get(event.cost, event.cost)
            return [*lines, f"front of error and {noun}: {places} candidate{'' if places == 1 else 's'}"]
        elif isinstance(event, events.RoundFinished):
            self.round, self.tau, self.gain = event.round, event.tau, event.gain
            return [self._round(event)]
        elif isinstance(event, events.NetworkTrained):
            if self.phase in CHOOSING:
                self._improve(event.error, event.name)
            if self._trained is None or event.error < self._trained.error:
                self._trained = event
        return []

    def counted_trials(self) -> str:
        """``20``, or ``20 of 60`` where it is known how many there will be."""
        return f"{self.trials}" if self.wanted is None else f"{self.trials} of {self.wanted}"

    def _counted(self, number: int) -> list[str]:
        """Line for every tenth trial; none for one that goes on, and was counted before."""
        new, self.trials = number >= self.trials, max(self.trials, number + 1)
        told = new and self.trials % TRIALS_PER_LINE == 0
        return [f"{self.counted_trials()} trials, {self.best_so_far()}"] if told else []

    def recall(self, logged: Iterable[Mapping[str, Any]]) -> None:
        """Take in what an earlier process wrote into events.jsonl."""
        for line in logged:
            kind = getattr(events, str(line.get("event")), None)
            fields = {name: value for name, value in line.items() if name not in ("event", "at")}
            try:
                self.hear(kind(**fields) if kind is not None else None)
            except TypeError:
                continue  # written by another version
        self.phase = self.training = self._trained = None  # what goes on says so again

    def end_of_phase(self) -> list[str]:
        """Line about the phase that is over, if there was one."""
        phase, trained = self.phase, self._trained
        self.phase = self.training = self._trained = None
        if phase is None:
            return []
        if phase == "search":
            asides = [f"{self.failed} failed"] * (self.failed > 0) + [f"{self.again} trained again"] * (self.again > 0)
            asides += [f"{len(self.resting)} stopped early"] * bool(self.resting)
            aside = f" ({', '.join(asides)})" if asides else ""
            return [
                f"{TITLES[phase]}: {self.trials} trial{'' if self.trials == 1 else 's'}{aside}, {self.best_so_far()}"
            ]
        if phase in ("refit", "absorption") or trained is None:
            return [f"{TITLES[phase]}: done"]
        return [f"{TITLES[phase]}: {self.quality(trained.error)}, {trained.params:,} parameters"]

    @property
    def again(self) -> int:
        """Trials that trained a candidate once more."""
        return sum(len(errors) - 1 for errors in self._errors.values())

    def best_so_far(self) -> str:
        """The best network inside the budget, in words."""
        return "no network yet" if self.best is None else f"best {self.quality(self.best)} ({self.best_name})"

    def quality(self, error: float) -> str:
        """An error as the events have it, as the figure of its metric, in words."""
        figure = self.metric.figure(error, self.target_std)
        written = f"{figure:.4f}" if self.metric.form == "complement" else self.metric.written(figure)
        return f"validation {self.metric.title} {written}"

    def where(self) -> str:
        """The phase, and which of how many it is."""
        if self.phase is None or self.phase not in self.phases:
            return "starting"
        return f"{self.phases.index(self.phase) + 1} of {len(self.phases)}: {TITLES[self.phase]}"

    def time(self) -> str:
        """Time left of what was allowed, or used so far."""
        used = self.clock()
        if self.seconds is None:
            return f"{minutes(used)} so far"
        return f"{minutes(max(0.0, self.seconds - used))} left of {minutes(self.seconds)}"

    def _round(self, event: events.RoundFinished) -> str:
        """``round 2: 4.10 % (trial 9), τ 0.50, coverage 80 %, gain 0.12 %``; with the time before it, in 80 columns."""
        parts = [self.best_so_far().removeprefix("best ").replace("validation ", "").replace("error ", "")]
        if event.tau is not None:
            parts.append(f"τ {event.tau:.2f}")
        if event.coverage is not None:
            parts.append(f"coverage {100.0 * event.coverage:.0f} %")
        if event.gain is not None:
            parts.append(f"gain {self.gained(event.gain)}")
        return f"round {event.round}: {', '.join(parts)}"

    def gained(self, gain: float) -> str:
        """A decrease of the error, in words."""
        if self.metric.form == "complement":
            return f"{gain:.4f}"
        return self.metric.written(self.metric.figure(gain, self.target_std))

    def _take_in(self, trial: events.TrialFinished) -> None:
        """The best candidate by the mean over its trainings, once one of them was trained again."""
        first = trial.number if trial.repeats is None else trial.repeats
        self._errors.setdefault(first, []).append(trial.metrics.get("error", trial.error))
        best = self._errors.get(-1 if trial.best_number is None else trial.best_number)
        if best is not None and len(self._errors) < sum(map(len, self._errors.values())):
            self.best, self.best_name = sum(best) / len(best), f"trial {trial.best_number}"
        elif trial.repeats is None:
            self._improve(self._errors[first][-1], f"trial {first}")

    def _improve(self, error: float, name: str) -> None:
        if self.best is None or error < self.best:
            self.best, self.best_name = error, name


def told_by(networks: int, rounds: int) -> str:
    """Who taught a network: ``4 networks and 300 rounds of trees``."""
    parts = [f"{networks} network{'' if networks == 1 else 's'}"] if networks else []
    parts += [f"{rounds} round{'' if rounds == 1 else 's'} of trees"] if rounds else []
    return " and ".join(parts)


def minutes(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss``."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
