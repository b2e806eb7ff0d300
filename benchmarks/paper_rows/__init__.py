"""Rows of the paper's table that are no single run of the command line."""
