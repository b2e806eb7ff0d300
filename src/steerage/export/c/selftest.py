"""The self-test of generated code: a ``main`` with rows, and what is to come out for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.export.c.printer import Style, score_type
from steerage.export.c.text import array, number
from steerage.micro.integers import compute
from steerage.micro.ir import Features
from steerage.micro.layout import Layout

ABSOLUTE, RELATIVE = 1e-5, 1e-4  # difference that is allowed; the latter of the largest score of a row
STEPS = 0.05  # of the latter, where logarithms may differ in their last digit and then be another integer


def selftest(layout: Layout, style: Style, rows: Tensor, scores: Tensor) -> str:
    """Text of ``NAME_test.c``.

    ``rows``: encoded, (n, *input_shape). ``scores``: (n, outputs), as the generated code must return them.
    """
    name, upper = style.name, style.upper
    kind = "uint8_t" if layout.program.input.dtype == "uint8" else "float"
    flat = rows.reshape(len(rows), -1).to(torch.float64).numpy()
    inputs = "\n".join(f"    {{\n{_row(row, kind)}\n    }}," for row in flat)
    made = score_type(layout)
    outputs = "\n".join(f"    {{\n{array(row, made)}\n    }}," for row in scores.to(torch.float64).numpy())
    memory = "" if style.static else f"static {name}_scratch scratch;\n\n"
    absolute, relative = tolerance(layout)
    source = "its integers are" if layout.program.quantized else "PyTorch has"
    return f"""\
/* {name}_test.c: {len(rows)} rows, and what {source} for them. The program returns 0 if {name}.c does so, too:
 * each number within {absolute:g} and {relative:g} of the largest one of its row. */
#include "{name}.h"

#include <math.h>
#include <stdio.h>

#define ROWS {len(rows)}

static const {kind} inputs[ROWS][{upper}_INPUTS] = {{
{inputs}
}};

static const {made} outputs[ROWS][{upper}_OUTPUTS] = {{
{outputs}
}};

{memory}int main(void)
{{
    int wrong = 0;
    for (int row = 0; row < ROWS; ++row) {{
        const {made} *const scores = {name}_scores(inputs[row]{"" if style.static else ", &scratch"});
        double largest = 0.0;
        for (int i = 0; i < {upper}_OUTPUTS; ++i)
            largest = fabs((double)outputs[row][i]) > largest ? fabs((double)outputs[row][i]) : largest;
        for (int i = 0; i < {upper}_OUTPUTS; ++i)
            if (!(fabs((double)scores[i] - (double)outputs[row][i]) <= {absolute:g} + {relative:g} * largest)) {{
                printf("row %d, output %d: %g, and {source} %g\\n", row, i, (double)scores[i],
                    (double)outputs[row][i]);
                ++wrong;
            }}
    }}
    printf("%d rows, %d numbers are wrong\\n", ROWS, wrong);
    return wrong != 0;
}}
"""


def tolerance(layout: Layout) -> tuple[float, float]:
    """Difference that is allowed, absolute and of the largest score of a row: none of integers.

    Where logarithms of columns come before, which mathematical libraries round in their own ways, a few steps.
    """
    if not layout.program.quantized:
        return ABSOLUTE, RELATIVE
    if any(isinstance(op, Features) and op.logs for op in layout.program.ops):
        return 0.0, STEPS
    return (0.0, 0.0) if layout.program.output.dtype != "float32" else (ABSOLUTE, RELATIVE)


def _row(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]], kind: str) -> str:
    if kind != "float":
        return array(row, kind)
    words = ["NAN" if math.isnan(one) else number(one) for one in row]
    return "\n".join("    " + " ".join(f"{word}," for word in words[at : at + 8]) for at in range(0, len(words), 8))


def expected(network: Network, layout: Layout, rows: Tensor, *, softmax: bool) -> Tensor:
    """What generated code must return for encoded rows: float64 (n, outputs); integers of an integer program."""
    if layout.program.quantized:
        return compute(layout.program, rows)
    return reference(network, rows, softmax=softmax)


def reference(network: Network, rows: Tensor, *, softmax: bool) -> Tensor:
    """What PyTorch returns for encoded rows: float64 (n, outputs)."""
    scores = network.scores(rows).double()
    if network.spec.task == "regression":
        return network.in_units(scores)
    return scores.softmax(dim=1) if softmax else scores
