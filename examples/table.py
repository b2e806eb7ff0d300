"""A network for a table: synthesize, look at what came out, predict."""

from sklearn.datasets import load_wine

import steerage

wine = load_wine(as_frame=True).frame
wine.to_csv("wine.csv", index=False)

result = steerage.synthesize("wine.csv", budget=steerage.Budget(max_params=150), trials=3, epochs=12, out="runs/wine")
print("test error", result.summary["error"]["test"], "with", result.summary["params"], "parameters")
assert result.summary["params"] <= 150

network = steerage.load("runs/wine")
print(network.predict(wine.drop(columns="target").head()))
