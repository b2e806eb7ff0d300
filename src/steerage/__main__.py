"""``python -m steerage`` is the ``steerage`` command."""

from __future__ import annotations

from steerage.cli import main

if __name__ == "__main__":
    main()
