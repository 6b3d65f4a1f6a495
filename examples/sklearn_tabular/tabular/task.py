"""The table and the model: plain scikit-learn, nothing of Flower's."""

from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

NUM_FEATURES = 10
CLASSES = np.array([0, 1])

Table = tuple[np.ndarray, np.ndarray]
"""Features, and whether each tumour is benign."""


def load_table(partition_id: int, num_partitions: int) -> tuple[Table, Table]:
    """Load a station's own rows: three quarters to train, one quarter to test."""
    features, benign = load_breast_cancer(return_X_y=True)
    features = features[:, :NUM_FEATURES]
    order = np.random.default_rng(0).permutation(len(benign))[partition_id::num_partitions]
    features, benign = features[order], benign[order]
    cut = len(benign) * 3 // 4
    return (features[:cut], benign[:cut]), (features[cut:], benign[cut:])


def standardized(table: Table, mean: Sequence[float], scale: Sequence[float]) -> Table:
    """Return the table with features on the scale that all stations share."""
    features, benign = table
    return (features - np.asarray(mean)) / np.asarray(scale), benign


def train(weights: list[np.ndarray], table: Table, steps: int, seed: int) -> list[np.ndarray]:
    """Go some times through the table; returns coefficients and intercept."""
    model = _model(weights, seed)
    for _ in range(steps):
        model.partial_fit(*table, classes=CLASSES)
    return [model.coef_, model.intercept_]


def test(weights: list[np.ndarray], table: Table) -> tuple[float, float]:
    """Return the log loss and the accuracy."""
    model = _model(weights, seed=0)
    features, benign = table
    loss = log_loss(benign, model.predict_proba(features), labels=CLASSES)
    return float(loss), float(model.score(features, benign))


def _model(weights: list[np.ndarray], seed: int) -> SGDClassifier:
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=seed)
    model.classes_ = CLASSES
    model.coef_, model.intercept_ = (array.copy() for array in weights)
    return model
