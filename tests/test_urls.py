"""Facts about addresses that may be shown."""

from __future__ import annotations

import pytest

from steerage.urls import without_password


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann:x%40y@host:5432/db", "postgresql://ann@host:5432/db"),
        ("postgresql+psycopg://ann@/db?host=/run&password=xyz", "postgresql+psycopg://ann@/db?host=/run&password=..."),
        ("synth a.csv --storage=mysql://ann:xyz@host/db -q", "synth a.csv --storage=mysql://ann@host/db -q"),
        ("postgresql://:xyz@host/db", "postgresql://@host/db"),
        ("sqlite:///runs/study.db", "sqlite:///runs/study.db"),
        ("https://host:8080/data.csv", "https://host:8080/data.csv"),
        ("my_model.py:Net", "my_model.py:Net"),
    ],
)
def test_passwords_are_left_out_and_nothing_else(given: str, shown: str) -> None:
    assert without_password(given) == shown
