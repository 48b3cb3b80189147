"""Small images that bring out what augmentation can get wrong."""

import torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(channels, height, width, seed=0):
    """Noise, smooth, dark, bright, two-valued and constant images, uint8 [9, C, H, W]."""
    source = generator(seed)
    shape = (channels, height, width)
    noise = torch.randint(256, (2, *shape), generator=source)
    ramp = torch.linspace(3, 250, height * width).view(height, width).round().long().expand(shape)
    smooth = (ramp + torch.arange(channels)[:, None, None] * 40) % 256
    low = torch.randint(10, 60, shape, generator=source)
    high = torch.randint(200, 256, shape, generator=source)
    binary = torch.randint(2, shape, generator=source) * 255
    sparse = (torch.rand(shape, generator=source) > 0.97).long() * 200
    constant, black = torch.full(shape, 77), torch.zeros(shape).long()
    return torch.stack((*noise, smooth, low, high, binary, sparse, constant, black)).to(torch.uint8)
