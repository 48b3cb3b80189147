"""ResNet-32 with shortcuts without parameters."""

import torch
from torch import nn


def resnet32(num_classes):
    blocks = [Block(16, 16) for _ in range(5)]
    for width in (32, 64):
        blocks += [Block(width // 2, width), *(Block(width, width) for _ in range(4))]
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes)
    return nn.Sequential(convolution(3, 16, 1), nn.ReLU(), *blocks, *head)


def convolution(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        stride = outputs // inputs
        self.first, self.second = convolution(inputs, outputs, stride), convolution(outputs, outputs, 1)
        self.missing = (outputs - inputs) // 2

    def forward(self, images):
        direct = images
        if self.missing:
            zeros = torch.zeros_like(images[:, : self.missing, ::2, ::2])
            direct = torch.cat([zeros, images[:, :, ::2, ::2], zeros], dim=1)
        return (self.second(self.first(images).relu()) + direct).relu()
