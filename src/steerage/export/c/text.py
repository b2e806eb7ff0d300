"""Text of generated code: names, numbers and comments that are safe whatever a user's data holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steerage.errors import UnsupportedLayer

MOST = 40  # characters of a name
FALLBACK = "net"
# Keywords of C and C++, and headers of the standard library, which a file NAME.h must not stand before.
_TAKEN = """
alignas alignof and asm assert auto bitand bitor bool break case catch char class compl complex const constexpr
continue ctype decltype default defined delete do double else enum errno explicit export extern false fenv float for
friend goto if inline int inttypes iso646 limits locale long main math mutable namespace new noexcept not nullptr
operator or private protected public register restrict return setjmp short signal signed sizeof static stdalign
stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string struct switch template tgmath this threads
throw time true try typedef typeid typename uchar union unsigned using virtual void volatile wchar wctype while xor
"""
TAKEN = frozenset(_TAKEN.split())
_SAFE = re.compile(r"[^A-Za-z0-9 _.,:;=+()<>#!|%&\[\]-]")


def identifier(text: str, *, fallback: str = FALLBACK, most: int = MOST) -> str:
    """A name for C made of any text: small ASCII letters, digits and underscores, no keyword, no header, not empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:most].rstrip("_")
    if not name:
        return fallback
    if name[0].isdigit():
        name = f"{fallback}_{name}"
    return f"{name}_{fallback}" if name in TAKEN else name


def comment(text: str, *, most: int = 60) -> str:
    """Any text as part of a comment: nothing in it ends the comment, or is more than plain ASCII."""
    safe = _SAFE.sub("_", text)
    return safe if len(safe) <= most else f"{safe[: most - 3]}..."


def number(value: float) -> str:
    """A constant that is this number in single precision, exactly. Raises: UnsupportedLayer unless finite."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not np.isfinite(single):
        raise UnsupportedLayer(f"the network has the number {value}, which C code in single precision cannot hold")
    text = f"{single:.9g}"
    return f"{text if any(mark in text for mark in '.e') else f'{text}.0'}f"


def array(values: NDArray[Any] | Iterable[Any], type: str) -> str:
    """Constants of a table, wrapped."""
    words = [number(float(one)) if type == "float" else str(int(one)) for one in values]
    return "\n".join(wrapped(words, "    "))


def wrapped(words: Iterable[str], indent: str, *, most: int = 118) -> list[str]:
    """Lines of words, with a comma behind each."""
    lines, line = [], indent[:-1]
    for word in words:
        if len(line) + len(word) + 2 > most and line.strip():
            lines.append(line)
            line = indent[:-1]
        line += f" {word},"
    return [*lines, line]
