"""Windows of a sensor with two axes: 1-D convolutions, and the C code."""

import numpy as np

import steerage
from steerage.export import export_c

rng = np.random.default_rng(0)


def windows(n):
    """(n, 2 axes, 64 moments), some of them shaking twice as quickly."""
    quick = np.arange(n) % 2
    phase = rng.uniform(0, 6, (n, 1, 1))
    x = np.sin(0.3 * (1 + quick[:, None, None]) * np.arange(64) + phase) + 0.4 * rng.normal(size=(n, 2, 64))
    return x.astype(np.float32), np.array(["slow", "quick"])[quick]


(x_train, y_train), (x_test, y_test) = windows(200), windows(60)
np.savez("shake.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, kind="signal")

budget = steerage.Budget(max_params=800)
result = steerage.synthesize("shake.npz", budget=budget, trials=1, epochs=10, out="runs/shake")
print("share that is right:", (result.network.predict(x_test) == y_test).mean())
export_c(result.network, "firmware/shake")
