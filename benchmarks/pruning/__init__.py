"""Parts of the benchmark of grow-and-prune: tasks, methods, and one run of one method."""
