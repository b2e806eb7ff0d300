"""Images as arrays, and a budget of parameters and multiplications at once."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import steerage

x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 8, 8).astype(np.uint8)
x_train, x_test, y_train, y_test = train_test_split(x, y, train_size=500, stratify=y, random_state=0)
np.savez("digits.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

budget = steerage.Budget(max_params=1500, max_macs=40_000)
result = steerage.synthesize("digits.npz", template="cnn", budget=budget, trials=2, epochs=6, out="runs/images")
cost = result.network.cost
print(f"{cost.params:,} parameters, {cost.macs:,} MACs, test error {result.summary['error']['test']:.1%}")
assert cost.params <= 1500 and cost.macs <= 40_000
