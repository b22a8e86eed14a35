"""LeNet-5 (LeCun et al. 1998), in our version with ReLU and max pooling; the first paper only says LeNet."""

from collections import OrderedDict

from torch import nn

SMALLEST_SIDE = 12  # pixels; a smaller image would be empty after the second pooling


class LeNet(nn.Sequential):
    """LeNet-5 with ReLU: two 5x5 convolutions (6 and 16 filters), then 120-84-``classes`` linear units.

    Input: float32 (N, C, H, W) in [0, 1], H and W at least 12. Output: logits (N, ``classes``). The first
    convolution is padded by 2, so that 28x28 images give the classical 400 features.

    Source: LeCun et al. 1998. Wen and Itti say LeNet and no more; ReLU and max pooling are ours.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        channels, height, width = input_shape
        features = 16 * _side(height) * _side(width)
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(channels, 6, 5, padding=2),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(6, 16, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                linear1=nn.Linear(features, 120),
                relu3=nn.ReLU(),
                linear2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                linear3=nn.Linear(84, classes),
            )
        )


def _side(pixels: int) -> int:
    return (pixels // 2 - 4) // 2
