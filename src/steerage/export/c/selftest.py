"""The self-test of generated code: a ``main`` with rows, and what PyTorch returned for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.export.c.printer import Style
from steerage.export.c.text import array, number
from steerage.micro.layout import Layout

ABSOLUTE, RELATIVE = 1e-5, 1e-4  # difference that is allowed; the latter of the largest score of a row


def selftest(layout: Layout, style: Style, rows: Tensor, scores: Tensor) -> str:
    """Text of ``NAME_test.c``.

    ``rows``: encoded, (n, *input_shape). ``scores``: (n, outputs), as the generated code must return them.
    """
    name, upper = style.name, style.upper
    kind = "uint8_t" if layout.program.input.dtype == "uint8" else "float"
    flat = rows.reshape(len(rows), -1).to(torch.float64).numpy()
    inputs = "\n".join(f"    {{\n{_row(row, kind)}\n    }}," for row in flat)
    outputs = "\n".join(f"    {{\n{array(row, 'float')}\n    }}," for row in scores.to(torch.float64).numpy())
    memory = "" if style.static else f"static {name}_scratch scratch;\n\n"
    return f"""\
/* {name}_test.c: {len(rows)} rows, and what PyTorch returned for them. The program returns 0 if {name}.c does so, too:
 * each number within {ABSOLUTE:g} and {RELATIVE:g} of the largest one of its row. */
#include "{name}.h"

#include <math.h>
#include <stdio.h>

#define ROWS {len(rows)}

static const {kind} inputs[ROWS][{upper}_INPUTS] = {{
{inputs}
}};

static const float outputs[ROWS][{upper}_OUTPUTS] = {{
{outputs}
}};

{memory}int main(void)
{{
    int wrong = 0;
    for (int row = 0; row < ROWS; ++row) {{
        const float *const scores = {name}_scores(inputs[row]{"" if style.static else ", &scratch"});
        float largest = 0.0f;
        for (int i = 0; i < {upper}_OUTPUTS; ++i)
            largest = fabsf(outputs[row][i]) > largest ? fabsf(outputs[row][i]) : largest;
        for (int i = 0; i < {upper}_OUTPUTS; ++i)
            if (!(fabsf(scores[i] - outputs[row][i]) <= {number(ABSOLUTE)} + {number(RELATIVE)} * largest)) {{
                printf("row %d, output %d: %g, and PyTorch has %g\\n", row, i, (double)scores[i],
                    (double)outputs[row][i]);
                ++wrong;
            }}
    }}
    printf("%d rows, %d numbers are wrong\\n", ROWS, wrong);
    return wrong != 0;
}}
"""


def _row(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]], kind: str) -> str:
    if kind != "float":
        return array(row, kind)
    words = ["NAN" if math.isnan(one) else number(one) for one in row]
    return "\n".join("    " + " ".join(f"{word}," for word in words[at : at + 8]) for at in range(0, len(words), 8))


def expected(network: Network, rows: Tensor, *, softmax: bool) -> Tensor:
    """What generated code must return for encoded rows: float64 (n, outputs)."""
    scores = network.scores(rows).double()
    if network.spec.task == "regression":
        return network.in_units(scores)
    return scores.softmax(dim=1) if softmax else scores
