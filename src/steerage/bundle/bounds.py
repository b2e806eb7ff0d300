"""What a network from a file may ask for: it is made on the meta device first, where sizes cost nothing."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode

MAX_DESCRIPTION = 1 << 24  # bytes of network.json
MAX_NUMBER = 1 << 16  # of a hyperparameter
MAX_ELEMENTS = 1 << 26  # numbers in a value on its way through the network
MAX_BUILT = 1 << 24  # numbers in all tensors of the network as it is built
MAX_WORK = 1 << 37  # multiplications for two rows


def check_values(values: Mapping[str, Any]) -> None:
    """Raises: ValueError for a hyperparameter that is no plain value, or one beyond all measure."""
    for name, value in values.items():
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"the value {name} must be a number, a text or a boolean")
        if not isinstance(value, str) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise ValueError(f"the value {name} must be at most {MAX_NUMBER:,}")


def check_shape(shape: Sequence[Any], what: str) -> None:
    """Raises: ValueError unless ``shape`` is of whole numbers, not negative, and at most ``MAX_ELEMENTS``."""
    if not all(type(size) is int and 0 <= size <= MAX_ELEMENTS for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"{what} must be whole numbers, and {MAX_ELEMENTS:,} elements at most")


def rehearse(
    build: Callable[[], nn.Module],
    fit: Callable[[nn.Module], None],
    *,
    tensors: int,
    elements: int,
    input_shape: tuple[int, ...],
) -> tuple[int, ...]:
    """Build a network, ``fit`` it to the shapes that it is to have, and apply it to two rows, all without memory.

    Returns the shape of what it gives for them. A bundle has ``tensors`` with so many ``elements`` in all; before units
    left, the network may have had more of both, within reason. Raises: ValueError beyond it; whatever ``build`` and the
    network raise.
    """
    with torch.device("meta"), _few_parameters(2 * tensors + 16):
        model = build()
    built = sum(tensor.numel() for tensor in model.state_dict().values())
    if built > max(MAX_BUILT, 16 * elements):
        raise ValueError(f"the network is built with {built:,} numbers, and has {elements:,} in its file")
    with torch.device("meta"):
        fit(model)
        rows = torch.zeros(2, *input_shape)
        with torch.inference_mode(), _Bounded(max(MAX_ELEMENTS, elements)):
            return tuple(model.eval()(rows).shape)


@contextmanager
def _few_parameters(most: int) -> Iterator[None]:
    """Raises: ValueError once this thread has made more than ``most`` parameters of modules."""
    made, thread = 0, threading.get_ident()

    def on_registration(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal made
        made += threading.get_ident() == thread
        if made > most:
            raise ValueError(f"the network has more layers than the {most} tensors that it may have")

    handle = register_module_parameter_registration_hook(on_registration)
    try:
        yield
    finally:
        handle.remove()


@final
class _Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises ValueError for a value of more than so many elements, or more work than there may be in all."""

    def __init__(self, elements: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._elements, self._work = elements, 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(value, Tensor):
                if value.numel() > self._elements:
                    raise ValueError(f"a value of the network has {value.numel():,} elements")
                self._work += value.numel() * _depth(function.overloadpacket.__name__, args)
        if self._work > MAX_WORK:
            raise ValueError(f"two rows take more than {MAX_WORK:,} multiplications")
        return result


def _depth(name: str, args: tuple[Any, ...]) -> int:
    """Multiplications for each number that an operation returns."""
    tensors = [one for one in args if isinstance(one, Tensor)]
    if len(tensors) < 2:
        return 1
    if name.startswith("conv"):  # as convolution, or as conv2d where nothing is to be differentiated
        return max(1, tensors[1][0].numel() if len(tensors[1]) else 1)
    if name == "linear":
        return max(1, tensors[1].shape[-1])
    if name in ("mm", "addmm", "bmm", "baddbmm", "matmul"):
        return max(1, tensors[-1].shape[-2] if tensors[-1].ndim > 1 else len(tensors[-1]))
    return 1
