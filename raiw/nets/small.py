"""Small convolutional networks for handwritten digits."""

from collections import OrderedDict

from torch import nn


def digits_cnn() -> nn.Sequential:
    """Return the demo's network for the 8×8 digits of scikit-learn."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, 3, padding=1),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 64, 3, padding=1),
            relu3=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(256, 64),
            relu4=nn.ReLU(),
            head=nn.Linear(64, 10),
        )
    )


def lenet() -> nn.Sequential:
    """Return LeNet-5 with rectifiers and max pooling, as in most reproductions.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(400, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, 10),
        )
    )
