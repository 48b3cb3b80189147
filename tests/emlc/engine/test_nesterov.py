"""Nesterov momentum: methods whose meta-gradient is that of another step refuse it before they train."""

from dataclasses import replace

import pytest

from emlc.engine.contract import Setting
from emlc.engine.run import method_class
from emlc.engine.trial import Trial
from emlc.records.errors import SuiteError


def rebuilt(implementation: str) -> Setting:
    """The setting of a tiny trial, with Nesterov momentum."""
    setting = Trial(implementation, {}).method().setting
    return replace(setting, training=replace(setting.training, nesterov=True))


@pytest.mark.parametrize("implementation", ["baselines.mlc", "baselines.mlc_double_backward", "emlc.method"])
def test_look_aheads_by_heavy_ball_momentum_refuse_it(implementation):
    cls, setting = method_class(implementation), rebuilt(implementation)
    with pytest.raises(SuiteError, match=r"looks ahead by heavy-ball momentum only; set training\.nesterov to false"):
        cls(setting, cls.Options())


@pytest.mark.parametrize("implementation", ["baselines.cross_entropy", "baselines.mw_net", "baselines.mslc"])
def test_others_train_by_it(implementation):
    cls, setting = method_class(implementation), rebuilt(implementation)
    method = cls(setting, cls.Options())
    assert method.optimiser.param_groups[0]["nesterov"]
    method.begin_epoch(0)
    assert all(value.isfinite() for value in method.step().values())
