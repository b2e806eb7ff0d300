"""Networks from files of ``torch.export.save``, as modules that can be trained, grown and pruned."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from steerage.errors import BadArgument, BadBundle, SteerageError, UnsupportedLayer
from steerage.export.archive import Archive, read_archive
from steerage.export.nodes import read_nodes
from steerage.export.steps import steps_of
from steerage.nn.modes import evaluating
from steerage.nn.program import DTYPES, Graph, Held, Program
from steerage.seeds import generator

TOLERANCE = 1e-4


def load_program(path: str | Path) -> Program:
    """The network in the file ``path``, with its weights: (n, *program.graph.input_shape) -> (n, outputs).

    It takes any number of rows, whatever the size of the batch in the export. Linear layers, convolutions, batch
    norms and dropouts are modules with names as in the network that was exported; all parameters are trainable, in
    float32. No code in the file is run, and nothing is unpickled.

    Raises: BadBundle for a file that is damaged, or not of torch.export.save; BadArgument for several inputs or
    outputs, or sizes besides the batch that are open; UnsupportedLayer for an operator that is not known, or a
    network whose rows do not go through it one by one.
    """
    archive = read_archive(path)
    try:
        program = _program(archive)
    except SteerageError as error:
        raise type(error)(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise BadBundle(f"{path} is damaged: {type(error).__name__}: {error}; export it again") from error
    try:
        _check_rows(program)
    except SteerageError as error:
        raise type(error)(f"{path}: {error}") from error
    return program


def _program(archive: Archive) -> Program:
    nodes = read_nodes(archive)
    shape = nodes.shapes[nodes.input][1:]
    if not all(isinstance(size, int) for size in shape):
        raise BadArgument("the exported program leaves more than the batch open; export it with all other sizes fixed")
    steps = steps_of(nodes)
    used = {name for step in steps for name in step.reads("tensor")}
    trained = dict(nodes.held.values())
    held = {name: _held(name, archive.tensors[name], trained[name]) for name in sorted(used)}
    graph = Graph(nodes.input, tuple(int(size) for size in shape), nodes.output, held, steps)
    with torch.random.fork_rng(devices=[]):
        program = Program(graph)
    state = program.state_dict()
    for name, origin in program.origin.items():
        if origin in archive.tensors:  # the count of batches is optional
            state[name] = archive.tensors[origin].to(state[name].dtype)
    program.load_state_dict(state)
    return program


def _held(name: str, tensor: Tensor, trained: bool) -> Held:
    if tensor.is_floating_point():
        return Held(tuple(tensor.shape), "float32", trained)
    dtype = next((known for known, one in DTYPES.items() if one is tensor.dtype), None)
    if dtype is None or trained:
        raise UnsupportedLayer(f"{name} is of the type {tensor.dtype}, which cannot be refined")
    return Held(tuple(tensor.shape), dtype, trained=False)


def _check_rows(program: Program) -> None:
    """Rows give alone what they give together: else the size of the batch in the export is part of some number."""
    rows = torch.randn(3, *program.graph.input_shape, generator=generator(0, "exported"))
    try:
        with evaluating(program), torch.no_grad():
            together, alone = program(rows), torch.cat([program(rows[place : place + 1]) for place in range(len(rows))])
    except Exception as error:  # what operators raise for sizes that do not fit can be anything
        line = str(error).strip().partition("\n")[0]
        raise UnsupportedLayer(
            f"the program does not run on 3 rows ({line}); if it was made for another number, export a dynamic batch"
        ) from error
    if together.ndim != 2 or not together.is_floating_point():
        raise BadArgument(f"the program must return (rows, outputs), and returns {tuple(together.shape)} for 3 rows")
    largest = max(1.0, float(together.abs().max())) if together.numel() else 1.0
    if together.shape != alone.shape or not torch.allclose(together, alone, atol=TOLERANCE * largest, equal_nan=True):
        raise UnsupportedLayer(
            "the rows of a batch depend on each other, or on its size in the export; export with a dynamic batch"
        )
