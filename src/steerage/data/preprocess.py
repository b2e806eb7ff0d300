"""Reading back the preprocessing that was saved with a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steerage.data.dataset import Preprocess
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalPreprocess
from steerage.data.tabular import TablePreprocess
from steerage.errors import BadBundle


def preprocess_from_json(document: Mapping[str, Any]) -> Preprocess:
    """The value whose ``to_json`` gave ``document``.

    Raises: BadBundle when the document is of an unknown kind, or something in it is missing or of the wrong type.
    """
    kind = document.get("kind")
    try:
        if kind == "table":
            return TablePreprocess.from_json(document)
        if kind == "image":
            return ImagePreprocess.from_json(document)
        if kind == "signal":
            return SignalPreprocess.from_json(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBundle(
            f"the {kind} preprocessing is damaged ({type(error).__name__}: {error}); restore the folder from a copy"
        ) from error
    raise BadBundle(
        f"preprocessing must be of kind 'table', 'image' or 'signal', got {kind!r}; restore the folder from a copy"
    )
