"""The model, the data and how to train on them: plain NumPy, nothing of Flower's."""

import numpy as np

PIXELS = 64
DIGITS = 10


def new_weights() -> np.ndarray:
    """Make a model: a weight for every pixel and digit, and a bias for every digit."""
    return np.zeros((PIXELS + 1, DIGITS))


def load_table(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Load a CSV file with a header: each row has 64 pixels from 0 to 16, then the digit."""
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    images = np.column_stack([table[:, :PIXELS] / 16, np.ones(len(table))])
    return images, table[:, PIXELS].astype(int)


def train(
    weights: np.ndarray, images: np.ndarray, digits: np.ndarray, epochs: int, lr: float
) -> np.ndarray:
    """Descend along the gradient of the mean cross entropy."""
    wanted = np.eye(DIGITS)[digits]
    for _ in range(epochs):
        gradient = images.T @ (_probabilities(weights, images) - wanted)
        weights = weights - lr * gradient / len(digits)
    return weights


def test(weights: np.ndarray, images: np.ndarray, digits: np.ndarray) -> tuple[float, float]:
    """Return the model's loss and accuracy."""
    probabilities = _probabilities(weights, images)
    loss = -np.log(probabilities[np.arange(len(digits)), digits]).mean()
    return float(loss), float((probabilities.argmax(axis=1) == digits).mean())


def _probabilities(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    scores = images @ weights
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
