"""What one would use without steerage: LightGBM, scikit-learn's perceptron, and one of PyTorch tuned by Optuna."""

from __future__ import annotations

import gzip
import time
import warnings
from typing import Any

import lightgbm
import numpy as np
import optuna
import safetensors.numpy
import safetensors.torch
import torch
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from tabular_rows.table import Table

ROUNDS = 300
BATCH, MOST_EPOCHS, PATIENCE = 128, 200, 20
SEARCHING = 0.75  # of the minutes; the rest is for the last training, which has a fourth more rows


def trees(table: Table) -> dict[str, Any]:
    """LightGBM with 300 rounds and its defaults otherwise; it splits categories by itself."""
    kind = lightgbm.LGBMClassifier if table.classes else lightgbm.LGBMRegressor
    model = kind(n_estimators=ROUNDS, n_jobs=1, random_state=0, verbose=-1)
    began = time.monotonic()
    model.fit(table.x, table.y)
    seconds = time.monotonic() - began
    text = model.booster_.model_to_string().encode()
    error = table.error(model.predict(table.x_test))
    return {"error": error, "seconds": seconds, "bytes": len(text), "bytes_gzip": len(gzip.compress(text))}


def perceptron(table: Table) -> dict[str, Any]:
    """scikit-learn's MLP with its defaults, on scaled numbers and one-hot categories."""
    model = MLPClassifier(random_state=0) if table.classes else MLPRegressor(random_state=0)
    inputs = _inputs()
    began = time.monotonic()
    x = inputs.fit_transform(table.x)
    y, mean, std = _standardized(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations are its default
        model.fit(x, y)
    seconds = time.monotonic() - began
    predicted = model.predict(inputs.transform(table.x_test))
    arrays = {f"weight{at}": array for at, array in enumerate(model.coefs_)}
    arrays |= {f"bias{at}": array for at, array in enumerate(model.intercepts_)}
    return {
        "error": table.error(predicted if table.classes else predicted * std + mean),
        "seconds": seconds,
        "bytes": len(safetensors.numpy.save({name: array.astype(np.float32) for name, array in arrays.items()})),
        "params": sum(array.size for array in arrays.values()),
    }


def tuned(table: Table, *, minutes: float) -> dict[str, Any]:
    """A plain PyTorch MLP: TPE over depth, width, learning rate, weight decay and dropout for ``minutes``.

    It chooses by a fifth of the training rows, as steerage does, with early stopping; the best is trained again on all
    of them for as many epochs as it had.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    began = time.monotonic()
    inputs = _inputs()
    x = torch.from_numpy(np.asarray(inputs.fit_transform(table.x), dtype=np.float32))
    scaled, mean, std = _standardized(table)
    y = torch.from_numpy(scaled if table.classes else scaled.astype(np.float32))
    labels = scaled if table.classes else None
    rows, held = train_test_split(np.arange(len(y)), test_size=0.2, stratify=labels, random_state=0)
    ends = began + SEARCHING * 60.0 * minutes

    def objective(trial: optuna.Trial) -> float:
        settings = {
            "depth": trial.suggest_int("depth", 1, 4),
            "width": trial.suggest_int("width", 16, 512, log=True),
            "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        }
        _, best, epochs = _trained(x[rows], y[rows], table.classes, settings, judge=(x[held], y[held]), ends=ends)
        trial.set_user_attr("epochs", epochs)
        return best

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, timeout=max(1.0, ends - time.monotonic()))
    epochs = max(1, study.best_trial.user_attrs["epochs"])
    model, _, _ = _trained(x, y, table.classes, study.best_params, epochs=epochs, ends=began + 60.0 * minutes)
    seconds = time.monotonic() - began
    with torch.inference_mode():
        scores = model.eval()(torch.from_numpy(np.asarray(inputs.transform(table.x_test), dtype=np.float32)))
    predicted = scores.argmax(dim=1).numpy() if table.classes else scores[:, 0].double().numpy() * std + mean
    return {
        "error": table.error(predicted),
        "seconds": seconds,
        "bytes": len(safetensors.torch.save(model.state_dict())),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "trials": len(study.trials),
    }


def _inputs() -> ColumnTransformer:
    """Median or most frequent value for what is missing; numbers scaled, categories one-hot."""
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    names = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    return ColumnTransformer(
        [
            ("numbers", numeric, make_column_selector(dtype_include=np.number)),
            ("names", names, make_column_selector(dtype_include="category")),
        ]
    )


def _standardized(table: Table) -> tuple[NDArray[np.generic], float, float]:
    """Targets to learn, with the mean and the standard deviation that they had; class codes as they are."""
    if table.classes:
        return table.y, 0.0, 1.0
    mean, std = float(table.y.mean()), float(table.y.std())
    return (table.y - mean) / std, mean, std


def _trained(
    x: Tensor,
    y: Tensor,
    classes: int,
    settings: dict[str, Any],
    *,
    ends: float,
    judge: tuple[Tensor, Tensor] | None = None,
    epochs: int = MOST_EPOCHS,
) -> tuple[nn.Module, float, int]:
    """A network after ``epochs``, or after the best epoch by ``judge``: its error there, and how many those were."""
    torch.manual_seed(0)
    width, layers, inputs = settings["width"], [], x.shape[1]
    for _ in range(settings["depth"]):
        layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(settings["dropout"])]
        inputs = width
    model = nn.Sequential(*layers, nn.Linear(inputs, classes or 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"])
    best, best_epoch = float("inf"), 0
    for epoch in range(1, epochs + 1):
        model.train()
        for rows in torch.randperm(len(x)).split(BATCH):
            loss = _loss(model(x[rows]), y[rows], classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if judge is not None:
            model.eval()
            with torch.inference_mode():
                scores = model(judge[0])
                wrong = (scores.argmax(dim=1) != judge[1]).float().mean() if classes else _loss(scores, judge[1], 0)
            if wrong.item() < best:
                best, best_epoch = wrong.item(), epoch
            if epoch - best_epoch >= PATIENCE:
                break
        if time.monotonic() >= ends:
            break
    return model, best, best_epoch


def _loss(scores: Tensor, y: Tensor, classes: int) -> Tensor:
    return F.cross_entropy(scores, y) if classes else F.mse_loss(scores[:, 0], y)
