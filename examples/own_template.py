"""A search space of your own: networks of one hidden layer, with or without a gate."""

import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import nn

import steerage
from steerage.space import Space
from steerage.templates import Template, plain_recipe, recipe_genes


class Gated(nn.Module):
    def __init__(self, inputs, width, outputs, gate):
        super().__init__()
        self.value, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.gate = nn.Linear(inputs, width) if gate else None

    def forward(self, x):
        hidden = torch.relu(self.value(x))
        return self.last(hidden if self.gate is None else hidden * torch.sigmoid(self.gate(x)))


class Mine(Template):
    name = "mine"

    def space(self, spec):
        genes = {"width": IntDistribution(4, 64, log=True), "gate": CategoricalDistribution((False, True))}
        return Space({**genes, **recipe_genes(spec)})

    def build(self, values, spec):
        return Gated(spec.input_shape[0], values["width"], spec.outputs, values["gate"])

    def baseline(self, spec):
        return {"width": 32, "gate": False, **plain_recipe(spec)}


budget = steerage.Budget(max_params=120)
result = steerage.synthesize("iris", template=Mine(), budget=budget, trials=3, epochs=10, out="runs/mine")
print(result.summary["values"], result.summary["params"], "parameters")
assert result.summary["params"] <= 120
