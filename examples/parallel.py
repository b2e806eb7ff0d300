"""Two trainings at a time. What is trained depends on the seed alone, whoever is faster."""

import steerage

if __name__ == "__main__":  # workers import this file
    budget = steerage.Budget(max_params=200)
    result = steerage.synthesize("iris", budget=budget, trials=4, epochs=10, jobs=2, local=False, out="runs/parallel")
    print((result.folder / "ranking.csv").read_text())
