"""What a run does while it goes on: a listener of your own, and TensorBoard where it is installed."""

import steerage
from steerage import events
from steerage.errors import MissingDependency
from steerage.listeners import TensorBoard


def rounds(event: object) -> None:
    if isinstance(event, events.TrialFinished):
        print(
            f"trial {event.number}: validation error {event.metrics['error']:.3f}, best so far {event.best_error:.3f}"
        )
    elif isinstance(event, events.PhaseStarted):
        print(event.phase)


listeners = [rounds]
try:
    listeners.append(TensorBoard("runs/watched-logs"))  # then: tensorboard --logdir runs/watched-logs
except MissingDependency as missing:
    print(missing)
steerage.synthesize("iris", trials=3, epochs=6, listener=listeners, out="runs/watched")
