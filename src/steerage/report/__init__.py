"""One self-contained page about a run."""

from __future__ import annotations

from steerage.report.page import write_report

__all__ = ["write_report"]
