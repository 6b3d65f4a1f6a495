"""Linear regression on scikit-learn's diabetes data: plain numpy, nothing of Flower's."""

import numpy as np
from sklearn.datasets import load_diabetes


def load_data(partition_id: int, num_partitions: int) -> tuple[np.ndarray, np.ndarray]:
    """Load a station's patients: ten standardized features, and how the disease went on."""
    features, target = load_diabetes(return_X_y=True)
    features *= np.sqrt(len(target))
    return features[partition_id::num_partitions], target[partition_id::num_partitions]


def train(
    weights: list[np.ndarray], data: tuple[np.ndarray, np.ndarray], steps: int, lr: float
) -> list[np.ndarray]:
    """Go some steps down the gradient of half the squared error."""
    coefficients, intercept = weights
    features, target = data
    for _ in range(steps):
        residual = features @ coefficients + intercept - target
        coefficients = coefficients - lr * features.T @ residual / len(target)
        intercept = intercept - lr * residual.mean()
    return [coefficients, intercept]


def error(weights: list[np.ndarray], data: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the mean squared error."""
    coefficients, intercept = weights
    features, target = data
    return float(np.mean((features @ coefficients + intercept - target) ** 2))
