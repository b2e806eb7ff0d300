"""Data sets: where they come from, how raw rows become network inputs, and how training images are varied."""

from steerage.data.augment import Augment
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset, Preprocess, Task, TaskSpec
from steerage.data.load import load_dataset, load_labelled
from steerage.data.preprocess import preprocess_from_json

__all__ = [
    "Augment",
    "Dataset",
    "Preprocess",
    "Task",
    "TaskSpec",
    "dataset_from_arrays",
    "load_dataset",
    "load_labelled",
    "preprocess_from_json",
]
