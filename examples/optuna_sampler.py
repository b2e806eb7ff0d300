"""The search as an Optuna sampler, for an objective of your own and with a bound that wastes no trial."""

import optuna

from steerage import SteerageSampler

optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial):
    depth, width = trial.suggest_int("depth", 1, 6), trial.suggest_int("width", 4, 256, log=True)
    return abs(depth - 3) + abs(width - 60) / 60


def too_large(values):  # by how much; 0 is inside
    return max(0.0, values["depth"] * values["width"] / 300 - 1.0)


study = optuna.create_study(sampler=SteerageSampler(seed=0, violation=too_large))
study.optimize(objective, n_trials=20)
print(study.best_params, study.best_value)
assert all(too_large(trial.params) == 0.0 for trial in study.trials if trial.number >= 10)
