"""Global convolution: a 7×7 kernel from separable 7×1 and 1×7 convolutions."""

from torch import Tensor, nn

KERNEL = 7


class GlobalConvolution(nn.Module):
    """The sum of a k×1 after a 1×k and a 1×k after a k×1 convolution (Peng et al. 2017), k = 7."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_l1 = _thin(c_in, c_out, KERNEL, 1)
        self.conv_l2 = _thin(c_out, c_out, 1, KERNEL)
        self.conv_r1 = _thin(c_in, c_out, 1, KERNEL)
        self.conv_r2 = _thin(c_out, c_out, KERNEL, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B×C×h×w -> B×C'×h×w."""
        left: Tensor = self.conv_l2(self.conv_l1(x))
        right: Tensor = self.conv_r2(self.conv_r1(x))
        return left + right


def _thin(c_in: int, c_out: int, height: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, (height, width), padding=(height // 2, width // 2))
