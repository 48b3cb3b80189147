"""A running mean, which nothing depends on."""


class AverageMeter:
    pass
