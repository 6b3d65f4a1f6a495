"""The model and the data: PyTorch and Lightning, nothing of Flower's."""

import logging
import warnings

import lightning
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 32

# A station sees a new Trainer every round: what it says of itself is always the same.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
torch.set_num_threads(1)


class DigitsModel(lightning.LightningModule):
    """Three layers that read images of 8 x 8 pixels."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(8 * 8, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return a score for each digit."""
        return self.layers(images)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch, and log it."""
        images, digits = batch
        loss = functional.cross_entropy(self(images), digits)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy."""
        images, digits = batch
        scores = self(images)
        self.log("loss", functional.cross_entropy(scores, digits))
        self.log("accuracy", (scores.argmax(1) == digits).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Use Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def load_data(partition_id: int, num_partitions: int) -> tuple[DataLoader, DataLoader]:
    """Load a station's own images: four fifths to train, one fifth to test."""
    digits = load_digits()
    own = np.random.default_rng(0).permutation(len(digits.target))[partition_id::num_partitions]
    images = torch.tensor(digits.images[own], dtype=torch.float32) / 16
    labels = torch.tensor(digits.target[own])
    cut = len(own) * 4 // 5
    return (
        DataLoader(TensorDataset(images[:cut], labels[:cut]), BATCH_SIZE, shuffle=True),
        DataLoader(TensorDataset(images[cut:], labels[cut:]), len(own)),
    )


def trainer(epochs: int = 1) -> lightning.Trainer:
    """Return a Trainer that writes nothing: what is learned leaves in the reply."""
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        deterministic=True,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
