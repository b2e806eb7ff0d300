"""Rows of the benchmark of tables."""
