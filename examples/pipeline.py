"""The scikit-learn estimator in a pipeline, cross-validated."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steerage import SteerageClassifier

x, y = load_breast_cancer(return_X_y=True)
network = SteerageClassifier(max_params=100, trials=2, epochs=6, random_state=0)
scores = cross_val_score(make_pipeline(StandardScaler(), network), x, y, cv=2)
print("accuracy", scores.mean(), "of a network with at most 100 parameters")
assert scores.mean() > 0.8
