"""The small CNN of the second paper: two strided convolutions and a linear layer."""

from collections import OrderedDict

from torch import nn

SMALLEST_SIDE = 4


class CNN(nn.Sequential):
    """A small CNN: two 4x4 convolutions of stride 2 (16 and 32 filters), then one linear layer.

    Input: float32 (N, C, H, W) in [0, 1], H and W at least 4. Output: logits (N, ``classes``). Each
    convolution halves the image, so 28x28 gives 32 * 7 * 7 = 1568 features.

    Source: Schwinn, Raab and Eskofier 2020, for MNIST and Fashion-MNIST.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        channels, height, width = input_shape
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(channels, 16, 4, stride=2, padding=1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(16, 32, 4, stride=2, padding=1),
                relu2=nn.ReLU(),
                flatten=nn.Flatten(),
                linear=nn.Linear(32 * (height // 4) * (width // 4), classes),
            )
        )
