"""The network that Gowal et al. (2019) call "small", for training by interval bounds."""

from collections import OrderedDict

from torch import nn

SMALLEST_SIDE = 10  # pixels; a smaller image would be empty after the second convolution


class Gowal(nn.Sequential):
    """A net with tight bounds: 4x4 convolutions (16 filters of stride 2, 32 of 1), then 100-``classes`` linear units.

    Input: float32 (N, C, H, W) in [0, 1], H and W at least 10. Output: logits (N, ``classes``). No convolution is
    padded, so 28x28 gives 32 * 10 * 10 = 3200 features.

    Source: Gowal et al. 2019, their network "small".
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        channels, height, width = input_shape
        super().__init__(
            OrderedDict(
                conv1=nn.Conv2d(channels, 16, 4, stride=2),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(16, 32, 4),
                relu2=nn.ReLU(),
                flatten=nn.Flatten(),
                linear1=nn.Linear(32 * _side(height) * _side(width), 100),
                relu3=nn.ReLU(),
                linear2=nn.Linear(100, classes),
            )
        )


def _side(pixels: int) -> int:
    return (pixels - 4) // 2 + 1 - 3
