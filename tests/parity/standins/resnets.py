"""Residual networks for small images: post-activation, projections where the shape changes."""

import torch
from torch import nn


def resnet34():
    return network([3, 4, 6, 3], plain, 1)


def resnet50():
    return network([3, 4, 6, 3], bottleneck, 4)


def network(depths, branch, expansion):
    layers, channels = [convolution(3, 64, 3, 1), nn.ReLU()], 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for i in range(depth):
            stride = 2 if stage and not i else 1
            layers.append(Residual(branch(channels, width, stride), channels, expansion * width, stride))
            channels = expansion * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def convolution(inputs, outputs, size, stride):
    convolve = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolve, nn.BatchNorm2d(outputs))


def plain(channels, width, stride):
    return nn.Sequential(convolution(channels, width, 3, stride), nn.ReLU(), convolution(width, width, 3, 1))


def bottleneck(channels, width, stride):
    inner = convolution(channels, width, 1, 1), nn.ReLU(), convolution(width, width, 3, stride), nn.ReLU()
    return nn.Sequential(*inner, convolution(width, 4 * width, 1, 1))


class Residual(nn.Module):
    def __init__(self, branch, channels, outputs, stride):
        super().__init__()
        self.branch = branch
        changes = stride > 1 or channels != outputs
        self.direct = convolution(channels, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, images):
        return torch.maximum(self.branch(images) + self.direct(images), torch.zeros(()))
