"""Self Learning, SMP: Deep Self-Learning from Noisy Labels (Han, Luo, Wang, ICCV 2019).

Each class gets a few prototypes, images that lie in dense regions of the feature space and apart from each other; an
image's corrected label is the class whose prototypes it resembles most. No official code exists: equations and
defaults are as a thesis quotes them (lgiesen/Deep-Self-Learning-From-Noisy-Labels). The threshold on similarity is
unverified, as is what the paper's result with verified labels does with them; here they may give the prototypes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.soft_labels import require_positive, require_share
from emlc.engine.contract import Batch, Setting, StudentMethod
from emlc.engine.evaluation import outputs
from emlc.engine.samples import Samples
from emlc.engine.streams import drawn_from_each, positions_by_class


@dataclass(frozen=True)
class Options:
    """SMP's hyper-parameters; the defaults are the paper's for Clothing1M.

    Attributes
    ----------
    warm_up : float
        Share of the epochs that train on the given labels alone, 1 of 15; one epoch at least.
    candidates : int
        m, random images of a class among which its prototypes are sought.
    prototypes : int
        p, of each class.
    corrected_weight : float
        alpha, of the loss on the corrected labels.
    percentile : float
        Share of the similarities that lie below S_c, the one that counts as near.
    threshold : float
        A prototype is less similar than this to every denser candidate.
    clean_prototypes : bool
        Whether prototypes come from the clean set instead of the noisy one: a reading of the paper's setting with
        verified labels.
    """

    warm_up: float = 1 / 15
    candidates: int = 1280
    prototypes: int = 8
    corrected_weight: float = 0.5
    percentile: float = 0.4
    threshold: float = 0.95
    clean_prototypes: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        for name in ("warm_up", "corrected_weight", "percentile"):
            require_share(name, getattr(self, name))
        for name in ("candidates", "prototypes"):
            require_positive(name, getattr(self, name))


class SelfLearning(StudentMethod):
    """Cross-Entropy with given and corrected labels, which are found anew before each epoch.

    The loss is ``(1 - alpha) H(given, p) + alpha H(corrected, p)``. A correction is one pass without gradients over the
    noisy set: an epoch costs 4/3 of Cross-Entropy's arithmetic.

    Attributes
    ----------
    corrected : Tensor [N] of int64
        The given labels until the first correction.
    """

    Options = Options

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.corrected = setting.noisy.labels.clone()
        self.warm_up_epochs = max(1, round(options.warm_up * setting.training.epochs))

    @property
    def learns_from_clean(self) -> bool:
        """Whether prototypes are clean images; as published, they are noisy ones."""
        return self.options.clean_prototypes

    def begin_epoch(self, epoch: int) -> None:
        """Set modes and the learning rate; correct the labels after the warm-up."""
        super().begin_epoch(epoch)
        if epoch >= self.warm_up_epochs:
            self._correct()

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the noisy batch."""
        logits = self.student(noisy.inputs)
        on_given = F.cross_entropy(logits, noisy.labels)
        on_corrected = F.cross_entropy(logits, self.corrected[noisy.indices])
        loss = on_given.lerp(on_corrected, self.options.corrected_weight)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"student_loss": loss.detach()}

    def _correct(self) -> None:
        features = self._features(self.setting.noisy)
        samples, among = self.setting.noisy, features
        if self.options.clean_prototypes:
            samples, among = self.setting.clean, self._features(self.setting.clean)
        classes, prototypes = [], []
        for members in positions_by_class(samples.labels):
            drawn = drawn_from_each([members], self.options.candidates, self.setting.generator)
            chosen = drawn[select_prototypes(among[drawn], self.options)]
            classes.append(samples.labels[members[0]])
            prototypes.append(among[chosen])
        self.corrected = torch.stack(classes)[nearest_class(features, prototypes)]

    def _features(self, samples: Samples) -> Tensor:
        """Return the student's features of a set, each of length 1, [N, d]."""
        return outputs(self.student, lambda batch: F.normalize(self.student.features(batch.inputs).float()), samples)


def densities(similarities: Tensor, percentile: float) -> Tensor:
    """Return ``rho_i = sum_j sign(S_ij - S_c)`` [m] for similarities S [m, m].

    S_c is the off-diagonal similarity below which that share of them lies.
    """
    count = len(similarities)
    apart = ~torch.eye(count, dtype=torch.bool, device=similarities.device)
    ordered = similarities[apart].sort().values
    if not len(ordered):
        return torch.zeros_like(similarities[0])
    critical = ordered[min(int(percentile * len(ordered)), len(ordered) - 1)]
    return (similarities - critical).sign().sum(dim=1)


def closeness(similarities: Tensor, density: Tensor) -> Tensor:
    """Return eta [m]: a candidate's largest similarity to a denser one, for the densest its smallest to any."""
    denser = density[None, :] > density[:, None]
    largest = similarities.masked_fill(~denser, -torch.inf).amax(dim=1)
    return torch.where(denser.any(dim=1), largest, similarities.amin(dim=1))


def select_prototypes(features: Tensor, options: Options) -> Tensor:
    """Return the positions of at most `prototypes` candidates: the densest that are not close to a denser one.

    Parameters
    ----------
    features : Tensor [m, d]
        Of the candidates of a class, each of length 1.
    options : Options
    """
    similarities = features @ features.T
    density = densities(similarities, options.percentile)
    order = density.argsort(descending=True, stable=True)
    apart = closeness(similarities, density)[order] < options.threshold
    # The densest one stays, even where it is like all others: no class is without prototypes.
    apart[0] = True
    return order[apart][: options.prototypes]


def nearest_class(features: Tensor, prototypes: list[Tensor]) -> Tensor:
    """Return the number of the class [N] whose prototypes [p, d] have the largest mean cosine with features [N, d]."""
    return (features @ torch.stack([each.mean(dim=0) for each in prototypes]).T).argmax(dim=1)


METHOD = SelfLearning
