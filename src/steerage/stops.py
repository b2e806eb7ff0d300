"""Work that is not to be broken off in its middle: a stop that comes meanwhile is heeded just after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_under_way = 0


def must_wait() -> bool:
    """Whether there is such work now: whoever handles signals raises nothing then, and asks again when it is told
    what the work has come to."""
    return _under_way > 0


@contextmanager
def unbroken() -> Iterator[None]:
    """The work inside is not to be broken off."""
    global _under_way
    _under_way += 1
    try:
        yield
    finally:
        _under_way -= 1


def in_whole_steps(work: Iterator[T]) -> Iterator[T]:
    """``work``, which is not broken off between its items."""
    while True:
        with unbroken():
            try:
                item = next(work)
            except StopIteration:
                return
        yield item
