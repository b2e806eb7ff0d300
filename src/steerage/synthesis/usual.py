"""How small a network is to be where nobody said so: a bound for tables, below which the data decide."""

from __future__ import annotations

from steerage.cost.budget import Budget
from steerage.data.dataset import TaskSpec
from steerage.templates.template import Template

PER_OUTPUT = 1500  # parameters for each number to be told; two classes are one number
PER_ROW = 35  # at most: trees for few rows are small ones
PER_INPUT = 16  # at least, so that wide tables have candidates at all


def usual_budget(spec: TaskSpec, template: Template) -> Budget:
    """Bound on the parameters for networks of the mlp template on tables; none for others.

    It is what keeps a network below a fiftieth of the bytes of 300 rounds of boosted trees, which grow with the
    outputs as well, and with the rows where these are few. It is no loss: a network for a table that is much larger
    learns it by heart.
    """
    if spec.kind != "table" or template.name != "mlp":
        return Budget()
    told = 1 if spec.task == "classification" and spec.outputs == 2 else spec.outputs
    most = min(PER_OUTPUT * told, PER_ROW * spec.rows)
    return Budget(max_params=max(most, PER_INPUT * spec.input_shape[0]))
