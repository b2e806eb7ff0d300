"""Grow-and-prune of a module of your own: in one call, and with two lines in a training loop."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import steerage
from steerage.growprune.schemes import gradual


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))


budget = steerage.Budget(max_params=700)
done = steerage.grow_and_prune(net(), "digits", budget=budget, epochs=6)
print("in one call:", done.cost.params, "parameters, validation error", done.scores.error)
assert done.cost.params <= 700

x, y = (torch.as_tensor(one) for one in load_digits(return_X_y=True))
x, model, steps = x.float() / 16, net(), 150
optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
editor = steerage.GrowPrune(model, budget, (64,), gradual())
for step in range(steps):
    batch = torch.randint(len(x), (128,))
    loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    editor.step(optimizer, step / steps)
editor.finish(optimizer)
left = sum(int(mask.sum()) for mask in editor.masks.values())
print("in a loop:", left, "connections are left")
assert left <= 700
