"""The command that looks at data: inspect."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from steerage.cli.session import Job, Session

if TYPE_CHECKING:
    from steerage.data.inspect import ColumnReport, Report
    from steerage.data.leaks import Finding

WIDTH = 80
MOST_COLUMNS, MOST_CLASSES, MOST_FINDINGS = 12, 8, 8  # in words: what a screen holds; --json has all


def inspection(
    data: str,
    *,
    target: str | None,
    task: Literal["classification", "regression", "multilabel"] | None,
    kind: Literal["table", "image", "signal"] | None,
    group: str | None = None,
    as_json: bool,
) -> Job:
    """What ``data`` holds, and what to beware of."""

    def job(session: Session) -> str:
        from steerage.data.inspect import inspect_data
        from steerage.store import plain

        report = inspect_data(data, target=target, task=task, kind=kind, group=group)
        return json.dumps(plain(report.to_json()), indent=2, ensure_ascii=False) + "\n" if as_json else in_words(report)

    return job


def in_words(report: Report) -> str:
    """One screen of at most 80 columns."""
    part = "its own" if report.own_test else "set aside"
    noun = {"table": "rows", "image": "images", "signal": "signals"}[report.kind]
    lines = [
        f"{report.name}: {report.rows:,} {noun}; {report.train_rows:,} to train, {report.test_rows:,} to test ({part})"
    ]
    if report.groups is not None:
        name = f" by {report.group!r}" if report.group else ""
        lines.append(f"groups{name}: {report.groups[0]:,} to train, {report.groups[1]:,} to test")
    lines += _about_target(report)
    shape = " x ".join(f"{size:,}" for size in report.input_shape)
    lines += [*_table_of_columns(report.columns), f"inputs of a network: {shape}"]
    if report.augmentation:
        lines += _wrapped(f"augmentation: {report.augmentation}")
    lines += _warnings(report.findings)
    return "\n".join(_cut(line) for line in lines) + "\n"


def _about_target(report: Report) -> list[str]:
    name = f"target {report.target!r}" if report.target else "target"
    if report.task is None:
        return [f"{name}: cannot be used"]
    if report.target_range is not None:
        low, mean, high, std = (f"{value:.4g}" for value in report.target_range)
        return [f"{name}: regression ({report.why})", f"  {low} to {high}, mean {mean}, standard deviation {std}"]
    if report.task == "regression":
        return [f"{name}: regression ({report.why})"]
    labels = report.task == "multilabel"
    total = report.rows if labels else sum(report.classes.values())
    ranked = sorted(report.classes.items(), key=lambda pair: -pair[1])
    shares = [f"{label} {100 * rows / total:.1f} %" for label, rows in ranked]
    lines = [f"{name}: {report.task} ({report.why}), {len(ranked)} {'labels' if labels else 'classes'}"]
    for most in range(MOST_CLASSES, 1, -1):
        named = shares if len(shares) <= most else [*shares[: most - 1], "...", shares[-1]]
        if len(line := f"  {', '.join(named)}") <= WIDTH:
            return [*lines, line]
    return lines


def _table_of_columns(columns: Sequence[ColumnReport]) -> list[str]:
    """The first columns, and how many more there are of each type."""
    if not columns:
        return []
    from steerage.cli.table import aligned

    shown = columns if len(columns) <= MOST_COLUMNS else columns[: MOST_COLUMNS - 1]
    rest = Counter(column.type for column in columns[len(shown) :])
    rows = [[_cut(column.name, 22), column.type, _share(column.missing), f"{column.distinct:,}"] for column in shown]
    table = aligned(["column", "type", "missing", "distinct"], rows)
    width = max(map(len, table))
    treatments = ["treatment", *(column.treatment for column in shown)]
    lines = [f"{line:<{width}}  {treatment}" for line, treatment in zip(table, treatments, strict=True)]
    if rest:
        lines.append(
            f"and {len(columns) - len(shown):,} more: {', '.join(f'{n:,} {kind}' for kind, n in rest.items())}"
        )
    return lines


def _share(missing: float) -> str:
    return f"{100 * missing:.1f} %" if missing else ""


def _warnings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return ["nothing to beware of: no IDs, copies of the target, repeated rows"]
    shown = findings if len(findings) <= MOST_FINDINGS else findings[: MOST_FINDINGS - 1]
    lines = []
    for finding in shown:
        kind = "error" if finding.what == "fault" else "beware"
        about = f"{finding.column}: " if finding.column is not None and finding.what != "fault" else ""
        lines += _wrapped(f"{kind}: {about}{finding.message}")
    if len(shown) < len(findings):
        lines.append(f"and {len(findings) - len(shown)} more; --json has all")
    return lines


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def _cut(line: str, width: int = WIDTH) -> str:
    return line if len(line) <= width else f"{line[: width - 1].rstrip(' ,')}…"
