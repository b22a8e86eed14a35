"""ResNet11, the residual model for CIFAR-10. The second paper does not list its layers; this list is ours."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.functional import relu

SMALLEST_SIDE = 8  # pixels; batch norm needs two values in each channel, even for a batch of one image


class Block(nn.Module):
    """Basic residual block (He et al. 2016): ``relu(project(x) + norm(conv(relu(norm(conv(x))))))``.

    Input: (N, ``inputs``, H, W). Output: (N, ``outputs``, H / stride, W / stride), rounded up.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        return relu(self.project(x) + residual)


class ResNet11(nn.Sequential):
    """A residual network for CIFAR-10: a 3x3 stem and three blocks of strides 1, 2, 2.

    Their widths are ``width`` (64), and one, two and four times that.

    Eleven weighted layers: the stem, two 3x3 convolutions and a 1x1 projection in each block, the linear
    layer. Input: float32 (N, C, H, W) in [0, 1], H and W at least 8. Output: logits (N, ``classes``).

    Source: Schwinn, Raab and Eskofier 2020, who name it and do not list its layers; blocks as in He et al. 2016.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int, width: int = 64) -> None:
        super().__init__(
            OrderedDict(
                stem=nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
                norm=nn.BatchNorm2d(width),
                relu=nn.ReLU(),
                block1=Block(width, width, stride=1),
                block2=Block(width, 2 * width, stride=2),
                block3=Block(2 * width, 4 * width, stride=2),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(4 * width, classes),
            )
        )
