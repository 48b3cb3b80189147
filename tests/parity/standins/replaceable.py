"""Layers whose weights a virtual step replaces inside the graph; MW-Net's and MSLC's weight network of them."""

import torch
from torch import nn
from torch.nn import functional as F


class MetaModule(nn.Module):
    def holders(self):
        return [module for module in self.modules() if isinstance(module, Layer)]

    def params(self):
        for module in self.holders():
            yield from (value for _, value in module.named_leaves() if value is not None)

    def update_params(self, lr_inner, source_params):
        gradients = iter(source_params)
        for module in self.holders():
            for name, value in module.named_leaves():
                if value is not None:
                    setattr(module, name, value - lr_inner * next(gradients))


class Layer(MetaModule):
    def __init__(self, original):
        super().__init__()
        for name in ("weight", "bias"):
            value = getattr(original, name)
            self.register_buffer(name, None if value is None else value.detach().clone().requires_grad_())

    def named_leaves(self):
        return [("weight", self.weight), ("bias", self.bias)]


class MetaConv2d(Layer):
    def __init__(self, inputs, outputs, size, stride, padding, bias):
        super().__init__(nn.Conv2d(inputs, outputs, size, bias=bias))
        self.stride, self.padding = stride, padding

    def forward(self, images):
        return F.conv2d(images, self.weight, self.bias, self.stride, self.padding)


class MetaBatchNorm2d(Layer):
    def __init__(self, channels):
        super().__init__(nn.BatchNorm2d(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, images):
        return F.batch_norm(images, self.running_mean, self.running_var, self.weight, self.bias, self.training)


class MetaLinear(Layer):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Linear(inputs, outputs))

    def forward(self, features):
        return features @ self.weight.T + self.bias


class VNet(MetaModule):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.first, self.second = MetaLinear(inputs, hidden), MetaLinear(hidden, outputs)

    def forward(self, losses):
        return self.second(self.first(losses).clamp(min=0)).sigmoid()
