"""Augmented Descent (Nishi et al., CVPR 2021; KentoNishi/Augmentation-for-LNL)."""

from dataclasses import dataclass

from baselines import codivision
from baselines.dividemix import DivideMix
from emlc.engine.contract import Setting
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options(codivision.Options):
    """Those of :class:`baselines.codivision.Options` for CIFAR-10 with 50 % noise, and what sees which images.

    Attributes
    ----------
    warm_up_view : {"weak", "strong"}
        AugDesc-WAW or AugDesc-SAW: the paper's 75.11 on Clothing1M is the second, 74.72 the first.
    scoring_view : {"weak", "plain"}
        Under which losses are modelled: weak in the paper, none in the released code.
    """

    batch_share: float = 1.0
    warm_up_view: str = "weak"
    scoring_view: str = "weak"

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        super().__post_init__()
        for name, known in (("warm_up_view", ("weak", "strong")), ("scoring_view", ("weak", "plain"))):
            if getattr(self, name) not in known:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be {' or '.join(known)}")


class AugDesc(DivideMix):
    """DivideMix that analyses weak views and descends on strong ones (AugDesc-WS).

    Losses and targets come of weak views; what is mixed and learned are two strong ones (AutoAugment).
    """

    Options = Options
    views = ("strong", "strong", "weak", "weak")

    def __init__(self, setting: Setting, options: Options) -> None:
        self.warm_up_view, self.scoring_view = options.warm_up_view, options.scoring_view
        super().__init__(setting, options)


METHOD = AugDesc
