"""Rows of the table of devices."""
