"""Meta Cleaner (Zhang, Wang, Qiao, CVPR 2019).

The student learns from the features of several images that were given the same label, weighted by a module that sees
them together: images that do not fit in count less. "Meta" is that training comes in small sets, as in few-shot
learning; clean images are not used. No official code exists; the form is that of public notes on the paper, and the
size of the sets and of the module are a re-derivation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.soft_labels import require_positive
from emlc.engine.contract import Batch, Setting, StudentMethod, student_sgd
from emlc.models import initialise, undrawn
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options:
    """Meta Cleaner's hyper-parameters.

    Attributes
    ----------
    set_size : int
        K, images of one label that are seen together.
    hidden : int
        Size of the weighting module's hidden layer.
    """

    set_size: int = 5
    hidden: int = 512

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        for name in ("set_size", "hidden"):
            require_positive(name, getattr(self, name))


class MetaCleaner(StudentMethod):
    """Cross-Entropy of hallucinated features ``sum_k a_k v_k``, one for every label and step.

    v_1 to v_K are the features of random images with one given label and ``a = softmax(g(v_1, ..., v_K))``. A step
    takes K images of every class; as many steps make an epoch as it takes to see N images. The reported model
    classifies single images, without g. An epoch costs what one of Cross-Entropy does.

    Attributes
    ----------
    weighting : nn.Module
        g, from K concatenated features to K scores.
    """

    Options = Options
    learns_from_clean = False

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        occurring, counts = setting.noisy.labels.unique(return_counts=True)
        if counts.min() < options.set_size:
            raise SuiteError(
                f"set_size is {options.set_size}, but label {occurring[counts.argmin()]} was given to {counts.min()} "
                "images only; lower it"
            )
        self.noisy = setting.noisy.balanced(len(occurring) * options.set_size, "weak")
        self.weighting = weighting_module(self.student.feature_dim, options, setting.initial).to(setting.device)
        self.optimiser = student_sgd(nn.ModuleList([self.student, self.weighting]), setting.training)

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step of student and weighting on sets of images with the same label.

        Parameters
        ----------
        noisy : Batch
            Set after set, K images of one label each in random order.
        clean : Batch
            Not used.
        """
        count = self.options.set_size
        features = self.student.features(noisy.inputs).unflatten(0, (-1, count))
        weights = self.weighting(features.flatten(1)).softmax(dim=1)
        logits = self.student.classifier(hallucinated(features, weights))
        loss = F.cross_entropy(logits, noisy.labels[::count])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"student_loss": loss.detach()}


def weighting_module(feature_dim: int, options: Options, generator: torch.Generator) -> nn.Sequential:
    """Return g: one hidden layer from K features to K scores, drawn from the generator, on the CPU."""
    count, hidden = options.set_size, options.hidden
    module = nn.Sequential()
    with undrawn(module):
        module.extend([nn.Linear(count * feature_dim, hidden), nn.ReLU(), nn.Linear(hidden, count)])
    initialise(module, generator)
    return module


def hallucinated(features: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sums [M, d] of sets of features [M, K, d] with weights [M, K]."""
    return (weights.unsqueeze(2) * features).sum(dim=1)


METHOD = MetaCleaner
