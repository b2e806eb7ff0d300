"""Who is told what a run does: a live view in a notebook, TensorBoard, MLflow, or any callable of one's own."""

from steerage.listeners.mlflow import MLflow
from steerage.listeners.notebook import Notebook
from steerage.listeners.several import Listener, Listeners
from steerage.listeners.tensorboard import TensorBoard

__all__ = ["Listener", "Listeners", "MLflow", "Notebook", "TensorBoard"]
