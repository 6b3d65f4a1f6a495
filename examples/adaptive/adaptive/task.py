"""A small network on handwritten digits: plain NumPy, nothing of Flower's."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

HIDDEN_UNITS = 32
NUM_PIXELS, NUM_DIGITS = 64, 10
TEST_IMAGES = 360
"""The last fifth of the shuffled images is the server's test set."""

Weights = dict[str, np.ndarray]
Images = tuple[np.ndarray, np.ndarray]
"""Images, and their digits."""


@cache
def load_all() -> Images:
    """Load scikit-learn's digits, always in the same shuffled order."""
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    return images[order] / 16, digits[order]


def load_data(partition_id: int, num_partitions: int) -> Images:
    """Load a station's own images."""
    images, digits = load_all()
    own = slice(partition_id, len(digits) - TEST_IMAGES, num_partitions)
    return images[own], digits[own]


def load_test_data() -> Images:
    """Load the images that no station has."""
    images, digits = load_all()
    return images[-TEST_IMAGES:], digits[-TEST_IMAGES:]


def new_weights() -> Weights:
    """Return a network that has learned nothing."""
    rng = np.random.default_rng(1)
    return {
        "hidden": rng.normal(0, 0.2, (NUM_PIXELS, HIDDEN_UNITS)),
        "hidden-bias": np.zeros(HIDDEN_UNITS),
        "output": rng.normal(0, 0.2, (HIDDEN_UNITS, NUM_DIGITS)),
        "output-bias": np.zeros(NUM_DIGITS),
    }


def train(
    weights: Weights, data: Images, epochs: int, lr: float, batch_size: int, seed: int
) -> Weights:
    """Go down the gradient, batch by batch."""
    images, digits = data
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(digits))
        for batch in np.array_split(order, len(order) // batch_size):
            gradient = _gradient(weights, images[batch], digits[batch])
            weights = {name: array - lr * gradient[name] for name, array in weights.items()}
    return weights


def test(weights: Weights, data: Images) -> tuple[float, float]:
    """Return loss and accuracy."""
    images, digits = data
    _, chances = _forward(weights, images)
    loss = -np.log(chances[np.arange(len(digits)), digits] + 1e-12).mean()
    return float(loss), float((chances.argmax(axis=1) == digits).mean())


def _forward(weights: Weights, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return activations of the hidden units, and a chance for each digit."""
    hidden = np.tanh(images @ weights["hidden"] + weights["hidden-bias"])
    scores = hidden @ weights["output"] + weights["output-bias"]
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, chances / chances.sum(axis=1, keepdims=True)


def _gradient(weights: Weights, images: np.ndarray, digits: np.ndarray) -> Weights:
    hidden, chances = _forward(weights, images)
    wrong = (chances - np.eye(NUM_DIGITS)[digits]) / len(digits)
    back = wrong @ weights["output"].T * (1 - hidden**2)
    return {
        "hidden": images.T @ back,
        "hidden-bias": back.sum(axis=0),
        "output": hidden.T @ wrong,
        "output-bias": wrong.sum(axis=0),
    }
