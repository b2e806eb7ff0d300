"""Whether operators that overwrite their input can be taken for those that return something new."""

from __future__ import annotations

from collections.abc import Mapping

from steerage.errors import UnsupportedLayer
from steerage.export.nodes import Nodes
from steerage.nn.program import references

# Operators that may return the memory of their first argument, besides those that overwrite it.
VIEWS = frozenset(
    {
        *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "permute", "transpose", "t", "select", "slice"),
        *("squeeze", "unsqueeze", "expand", "chunk", "split", "split_with_sizes", "unbind", "narrow", "detach"),
        *("alias", "contiguous", "to", "_to_copy", "type_as", "dropout", "feature_dropout", "alpha_dropout"),
    }
)


def check_in_place(nodes: Nodes) -> None:
    """What is overwritten must have been read by all others before: then it can as well be computed anew.

    Raises: UnsupportedLayer for an operator that overwrites a tensor of the network, or what is read afterwards.
    """
    readers: dict[str, list[int]] = {nodes.output: [len(nodes.nodes)]}
    for place, node in enumerate(nodes.nodes):
        for one in references([*node.options.values()]):
            if "value" in one:
                readers.setdefault(one["value"], []).append(place)
    sources: dict[str, str] = {}  # value whose memory a value may have
    for place, node in enumerate(nodes.nodes):
        first = next(iter(node.options.values()), None)
        if not isinstance(first, Mapping) or "value" not in first:
            continue
        name, overwrites = first["value"], node.op.endswith("_")
        if overwrites and not _is_count_of_batches(name, nodes):
            root = _root(name, sources)
            family = {root, *(one for one in sources if _root(one, sources) == root)}
            if root in nodes.held or any(at > place for one in family for at in readers.get(one, [])):
                raise UnsupportedLayer(
                    f"{node.label} overwrites what is read elsewhere; export the network without in-place changes"
                )
        if overwrites or node.op in VIEWS:
            sources.update((made, name) for made in node.names)


def _is_count_of_batches(name: str, nodes: Nodes) -> bool:
    """Whether a value is what a batch norm in training mode counts, which its module does by itself."""
    return name in nodes.held and nodes.held[name][0].endswith("num_batches_tracked")


def _root(name: str, sources: Mapping[str, str]) -> str:
    while name in sources:
        name = sources[name]
    return name
