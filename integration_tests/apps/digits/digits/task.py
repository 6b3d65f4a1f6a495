"""The model, the data and how to train on them: plain PyTorch, nothing of Flower's."""

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

TEST_IMAGES = 360
"""The last fifth of the shuffled images is the server's test set."""

Images = tuple[Tensor, Tensor]
"""Images and their labels."""

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


class Net(nn.Module):
    """A small convolutional network for images of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, kernel_size=3, padding=1)
        self.hidden = nn.Linear(16 * 4 * 4, 32)
        self.output = nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return a score for each digit."""
        features = functional.max_pool2d(functional.relu(self.conv(images)), 2)
        return self.output(functional.relu(self.hidden(features.flatten(1))))


@cache
def load_all() -> Images:
    """Load the 1797 images of scikit-learn's digits, always in the same shuffled order."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images = torch.tensor(digits.images[order], dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(digits.target[order])


def load_test_data() -> Images:
    """Load the images that no station has."""
    images, labels = load_all()
    return images[-TEST_IMAGES:], labels[-TEST_IMAGES:]


def load_data(partition_id: int, num_partitions: int) -> tuple[Images, Images]:
    """Load a station's own images: four fifths to train, one fifth to evaluate."""
    images, labels = load_all()
    own = torch.arange(partition_id, len(labels) - TEST_IMAGES, num_partitions)
    is_validation = torch.arange(len(own)) % 5 == 4
    train, validation = own[~is_validation], own[is_validation]
    return (images[train], labels[train]), (images[validation], labels[validation])


def train(net: Net, data: Images, epochs: int, lr: float, batch_size: int, seed: int) -> float:
    """Train the network and return the mean loss of the last epoch."""
    images, labels = data
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    loss_sum = 0.0
    net.train()
    for _ in range(epochs):
        loss_sum = 0.0
        for batch in torch.randperm(len(labels), generator=generator).split(batch_size):
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(batch)
    return loss_sum / len(labels)


def test(net: Net, data: Images) -> tuple[float, float]:
    """Return the network's loss and accuracy."""
    images, labels = data
    net.eval()
    with torch.no_grad():
        scores = net(images)
        loss = functional.cross_entropy(scores, labels).item()
    return loss, (scores.argmax(1) == labels).float().mean().item()
