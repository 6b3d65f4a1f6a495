"""Who has to stay in hospital? Logistic regression in NumPy, nothing of Flower's."""

from collections.abc import Mapping

import numpy as np

NUM_FEATURES = 3

Patients = tuple[np.ndarray, np.ndarray]
"""Age, blood pressure and temperature, on a common scale; and who had to stay."""


def load_patients(site: Mapping[str, object]) -> Patients:
    """Make up the patients of a site, as its configuration describes it."""
    rng = np.random.default_rng(int(site["seed"]))
    number = int(site["patients"])
    age = (rng.normal(float(site["mean-age"]), 12, number) - 60) / 20
    pressure, temperature = rng.normal(size=(2, number))
    risk = 1.5 * age + 0.8 * pressure + 1.2 * temperature - 0.3
    stays = rng.random(number) < 1 / (1 + np.exp(-risk))
    return np.column_stack([age, pressure, temperature]), stays.astype(int)


def train(weights: np.ndarray, patients: Patients, steps: int, lr: float) -> np.ndarray:
    """Go some steps down the gradient; the last weight is the intercept."""
    features, stays = _with_ones(patients)
    for _ in range(steps):
        wrong = 1 / (1 + np.exp(-features @ weights)) - stays
        weights = weights - lr * features.T @ wrong / len(stays)
    return weights


def test(weights: np.ndarray, patients: Patients) -> tuple[float, float]:
    """Return loss and accuracy."""
    features, stays = _with_ones(patients)
    scores = features @ weights
    loss = np.mean(np.logaddexp(0, scores) - stays * scores)
    return float(loss), float(np.mean((scores > 0) == stays))


def _with_ones(patients: Patients) -> Patients:
    features, stays = patients
    return np.column_stack([features, np.ones(len(stays))]), stays
