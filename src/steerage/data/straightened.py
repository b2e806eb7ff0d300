"""Whether images are straightened: where it lets their nearest neighbours tell the class better."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from steerage.data.augment import background_of, sample_of
from steerage.data.dataset import Dataset, Preprocess
from steerage.data.images import ImagePreprocess, fit_images
from steerage.data.straighten import Straighten, can_straighten
from steerage.errors import BadArgument
from steerage.seeds import generator

ROWS = 6000  # training rows at most, a third of which is asked about
NUMBERS = 40_000_000  # pixels of them all, at most; bounds memory
AT_ONCE = 500  # rows that are asked about; bounds memory, too
SURE = 3.0  # standard deviations by which more rows have to be right, and not only
BETTER = 0.9  # times as many wrong as before, at most


def straightened(dataset: Dataset, wanted: bool | None = None) -> Dataset:
    """``dataset`` with its images put upright (``steerage.data.straighten``), if that is ``wanted``.

    None: where bytes are drawn on one background and the nearest of up to 4,000 training rows, as a classifier, is
    wrong on fewer of 2,000 others than with the images as they are. Raises: BadArgument for data of which nothing can
    be straightened.
    """
    if wanted is False:
        return dataset
    how = _how(dataset)
    if isinstance(how, str):
        if wanted:
            raise BadArgument(f"{dataset.name} cannot be straightened: {how}; leave it out")
        return dataset
    if wanted is None and not _helps(dataset, how):
        return dataset
    x, x_test = how.of_bytes(dataset.x), how.of_bytes(dataset.x_test)
    fitted = fit_images(x.numpy(), how)
    return replace(dataset, x=x, x_test=x_test, preprocess=fitted)  # the fingerprint is that of the rows as they came


def is_straightened(preprocess: Preprocess) -> bool:
    """Whether images are put upright."""
    return isinstance(preprocess, ImagePreprocess) and preprocess.straighten is not None


def _how(dataset: Dataset) -> Straighten | str:
    """How images can be straightened, or why they cannot."""
    preprocess = dataset.preprocess
    if not isinstance(preprocess, ImagePreprocess):
        return "it has no images"
    if preprocess.dtype != "uint8":
        return "its pixels are no bytes"
    if not can_straighten(preprocess.input_shape):
        return f"images of {preprocess.height} x {preprocess.width} pixels are too small or too large"
    background = background_of(sample_of(dataset.x))
    return "nothing is drawn on a background of one grey" if background is None else Straighten(round(background))


def _helps(dataset: Dataset, how: Straighten) -> bool:
    """Whether nearest neighbours are right on more rows for it, by McNemar's test and by a tenth."""
    if dataset.spec.task != "classification":
        return False
    order = torch.randperm(len(dataset.x), generator=generator(0, "straighten"))
    order = order[: min(ROWS, NUMBERS // dataset.x[0].numel())]
    rows, others = order[: len(order) // 3], order[len(order) // 3 :]
    images = dataset.x[order]
    as_they_are, upright = (
        _nearest(found[len(rows) :].float(), dataset.y[others], found[: len(rows)].float()) == dataset.y[rows]
        for found in (images, how.of_bytes(images))
    )
    gained, lost = int((upright & ~as_they_are).sum()), int((as_they_are & ~upright).sum())
    wrong = int((~as_they_are).sum())
    return gained - lost > SURE * (gained + lost) ** 0.5 and wrong - (gained - lost) <= BETTER * wrong


def _nearest(known: Tensor, classes: Tensor, asked: Tensor) -> Tensor:
    """Class (n,) of the nearest of ``known`` (m, ...) to each of ``asked`` (n, ...), by the distance of all pixels."""
    nearest = [torch.cdist(part.flatten(1), known.flatten(1)).argmin(dim=1) for part in torch.split(asked, AT_ONCE)]
    return classes[torch.cat(nearest)] if nearest else classes[:0]
