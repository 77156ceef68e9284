"""The usual way to load and to train, as the source projects write it: what the series' own way is compared with."""

import time
from collections.abc import Iterable

import torch
from torch import nn
from torchvision import transforms
from torchvision.datasets import FashionMNIST
from tqdm.auto import tqdm

from helpers import config
from helpers.data import TRAIN_MEAN, TRAIN_STD


def per_item_images() -> FashionMNIST:
    """Return the 60,000 training images as torchvision's data set, each one converted and normalised when asked for."""
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize((TRAIN_MEAN,), (TRAIN_STD,))])
    return FashionMNIST(config.DATA_DIR, train=True, transform=prepare, download=False)


def train_epoch(model: nn.Module, loader: Iterable, optimizer: torch.optim.Optimizer) -> float:
    """Train for one epoch in plain float32 on batches of normalised images, and return the seconds."""
    device = next(model.parameters()).device
    criterion = nn.CrossEntropyLoss()
    model.train()
    started = time.perf_counter()
    for images, labels in tqdm(loader, desc="plain training", leave=False):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - started
