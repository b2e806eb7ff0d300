"""Several trainings at once: feed-forward networks side by side in wide tensors, each with a training of its own."""
