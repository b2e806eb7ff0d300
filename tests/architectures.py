"""Public architectures, small: written from their papers, or built by templates; edits must follow their couplings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.data import TaskSpec
from steerage.space import Value
from steerage.templates import TEMPLATES


class _Basic(nn.Module):
    """Two 3 x 3 convolutions around an identity, or a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    """He et al., arXiv 1512.03385, section 4.2, with n = 3; ``width`` is 16 there."""

    def __init__(self, width: int = 4, outputs: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        blocks, inputs = list[nn.Module](), width
        for stage in range(3):
            for index in range(3):
                blocks.append(_Basic(inputs, width << stage, 2 if stage > 0 and index == 0 else 1))
                inputs = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return y


class _Inverted(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.layers = nn.Sequential(
            *(nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


def mobilenet_v2(outputs: int = 5) -> nn.Module:
    """Sandler et al., arXiv 1801.04381, table 2, with few blocks."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6()),
        *(_Inverted(4, 4, 1, 2), _Inverted(4, 6, 2, 3), _Inverted(6, 6, 1, 3)),
        *(nn.Conv2d(6, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, outputs)),
    )


class _Dense(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False)),
            *(nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], dim=1)


def densenet(growth: int = 3, blocks: Sequence[int] = (2, 2), outputs: int = 5) -> nn.Module:
    """Huang et al., arXiv 1608.06993: DenseNet-BC with compression 0.5."""
    layers: list[nn.Module] = [nn.Conv2d(3, 2 * growth, 3, 1, 1, bias=False)]
    width = 2 * growth
    for index, depth in enumerate(blocks):
        for _ in range(depth):
            layers.append(_Dense(width, growth))
            width += growth
        if index + 1 < len(blocks):
            layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
            width //= 2
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs)]
    return nn.Sequential(*layers)


def grouped(outputs: int = 5) -> nn.Module:
    """Two grouped convolutions with different groups, of which the first is read twice."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.BatchNorm2d(12)),
        *(nn.ReLU(), nn.Conv2d(12, 12, 3, groups=2), nn.Tanh(), nn.Conv2d(12, 6, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(6 * 36, outputs)),
    )


def flattened(outputs: int = 5) -> nn.Module:
    """Pixels of channels become inputs of neurons, with a norm over them."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ELU()),
        *(nn.Flatten(), nn.BatchNorm1d(24), nn.Linear(24, 9), nn.Hardswish(), nn.Linear(9, outputs)),
    )


def _from_template(name: str, **genes: Value) -> nn.Module:
    spec = TaskSpec("classification", "image", SHAPE, 5, 500)
    return TEMPLATES[name].build({**TEMPLATES[name].baseline(spec), **genes}, spec)


def padded(block: str) -> nn.Module:
    """Shortcuts without parameters around blocks that change the shape, and gates over the channels of each block."""
    genes: dict[str, Value] = {"block": block, "shortcut": "pad", "squeeze": True, "hidden_layers": 1, "hidden": 16}
    return _from_template("resnet", **genes, stages=3, blocks0=1, blocks1=2, blocks2=1, width=4)


def gated() -> nn.Module:
    """Inverted residuals with gates over the channels that depthwise filters return."""
    genes: dict[str, Value] = {"stages": 3, "width": 0.25, "last": 16, "squeeze": True, "activation": "hardswish"}
    return _from_template("mobile", **genes, blocks0=1, blocks1=2, blocks2=2, expansion=2)


SHAPE = (3, 8, 8)
ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "resnet": ResNet20,
    "mobilenet": mobilenet_v2,
    "densenet": densenet,
    "grouped": grouped,
    "flattened": flattened,
    "padded": lambda: padded("basic"),
    "padded bottleneck": lambda: padded("bottleneck"),
    "gated": gated,
}


def architecture(name: str, seed: int = 0) -> nn.Module:
    """A network whose norms have seen something, in evaluation mode and double precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ARCHITECTURES[name]().double()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                for tensor in (module.weight.data, module.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (module.bias.data, module.running_mean):
                    tensor.normal_(0.0, 0.2)
    return model.eval()
