"""What training needs to know of an encoder that starts from weights of another task."""

from abc import ABC, abstractmethod

from torch import nn


class PretrainedEncoder(nn.Module, ABC):
    """Encoder that starts from ImageNet weights and learns more slowly than the rest."""

    @abstractmethod
    def early_stages(self, count: int) -> list[nn.Module]:
        """The stem and the first `count` stages, which training may leave as they are."""
