"""Command lines as they are typed, quoted as the shell of this system wants it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable


def quoted(word: str) -> str:
    """``word`` as one word of a command line."""
    return joined([word])


def joined(words: Iterable[str]) -> str:
    """A command line of ``words``. On Windows quotes are double, and backslashes are part of paths."""
    return subprocess.list2cmdline([*words]) if os.name == "nt" else shlex.join(words)
