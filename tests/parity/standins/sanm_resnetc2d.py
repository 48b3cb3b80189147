"""SANM's decoder of a ResNet-18's maps, by what transposed convolutions are the adjoint of."""

import torch
from torch import nn
from torch.nn import functional as F


class Decoder(nn.Module):
    def __init__(self, name):
        super().__init__()
        shapes = (512, 256, 4), (256, 128, 6), (128, 3, 4)
        self.weights = nn.ParameterList()
        for inputs, outputs, side in shapes:
            self.weights += [torch.zeros(inputs, outputs, side, side), torch.zeros(outputs)]

    def forward(self, maps):
        for i, stride in enumerate((2, 1, 2)):
            weight, bias = self.weights[2 * i], self.weights[2 * i + 1]
            side = weight.shape[2]
            spread = torch.zeros(*maps.shape[:2], *(stride * (length - 1) + 1 for length in maps.shape[2:]))
            spread[:, :, ::stride, ::stride] = maps
            maps = F.conv2d(F.pad(spread, 4 * [side - 1]), weight.transpose(0, 1).flip(2, 3), bias)
        return maps
