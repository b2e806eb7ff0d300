"""Global search: sample evenly, learn which candidates are good, evolve the next batch on what was learned."""
