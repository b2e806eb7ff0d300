"""What a user error says in one line: a cause, and after the last semicolon what to do about it."""

from __future__ import annotations

MOST = 100  # characters of either part
LEAST = 24  # of a word that was shortened: what is left of a path is then still known again


def parts(message: str) -> tuple[str, str]:
    """Cause and remedy of a message; the remedy is empty where there is none."""
    cause, separator, remedy = message.rpartition("; ")
    return (cause, remedy) if separator else (message, "")


def fitted(message: str) -> str:
    """``message`` with cause and remedy of at most 100 characters each.

    The longest words, which are paths and names that users have given, are shortened in their middle, as far as is
    needed; where that is not enough, which takes the message of some library, the part itself is.
    """
    return "; ".join(_fitted(part) for part in parts(message) if part)


def _fitted(part: str) -> str:
    words = part.split(" ")
    while (excess := len(" ".join(words)) - MOST) > 0:
        at = max(range(len(words)), key=lambda place: len(words[place]))
        if len(words[at]) <= LEAST:
            return _shortened(" ".join(words), MOST)
        words[at] = _shortened(words[at], max(LEAST, len(words[at]) - excess))
    return " ".join(words)


def _shortened(text: str, length: int) -> str:
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
