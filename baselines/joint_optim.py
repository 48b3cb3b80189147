"""Joint-Optim (Tanaka, Ikami, Yamasaki, Aizawa, CVPR 2018; DaikiTanaka-UT/JointOptimization).

A student at a high constant learning rate, which does not memorise, replaces all labels by its own averaged
predictions; a fresh student is then trained on what the labels have become.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.soft_labels import decayed, entropy, one_hot, require_positive, require_share
from emlc.engine.contract import Batch, Setting, StudentMethod, set_learning_rate
from emlc.records.errors import SuiteError

PRIORS = ("uniform", "given")


@dataclass(frozen=True)
class Options:
    """Joint-Optim's hyper-parameters; the defaults are the paper's for CIFAR-10 with symmetric noise.

    Attributes
    ----------
    first_share : float
        Share of the epochs that learn labels, 200 of 320; the others train the second student. Each has an epoch at
        least.
    update_from : float
        Share of those epochs after which labels are updated, at the end of each: published are the 70th of 200 epochs
        on CIFAR-10 and the first of 10 on Clothing1M.
    memory_epochs : int
        The last epochs whose predictions are averaged into a label.
    prior_weight, entropy_weight : float
        alpha and beta; 0.8 and 0.4 for asymmetric noise, 2.4 and 0.8 on Clothing1M.
    prior : str
        The classes' frequencies that predictions should keep: ``uniform``, as published, or ``given``, those of the
        given labels, for sets whose classes differ in size.
    first_lr, second_lr : float or None
        Learning rate of the first training, constant, and of the second, before its decay; None for the profile's.
    second_parts : int
        Equal parts of the second training, each at a tenth of the learning rate of the part before.
    """

    first_share: float = 200 / 320
    update_from: float = 70 / 200
    memory_epochs: int = 10
    prior_weight: float = 1.2
    entropy_weight: float = 0.8
    prior: str = "uniform"
    first_lr: float | None = None
    second_lr: float | None = None
    second_parts: int = 3

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        for name in ("first_share", "update_from"):
            require_share(name, getattr(self, name))
        for name in ("memory_epochs", "first_lr", "second_lr", "second_parts"):
            require_positive(name, getattr(self, name))
        if self.prior not in PRIORS:
            raise SuiteError(f"prior is {self.prior!r}; known: {', '.join(PRIORS)}")


class JointOptim(StudentMethod):
    """Label learning, then a second training from fresh weights, which alone is reported.

    The first training minimises ``H(s, p) + alpha KL(pi || p^) + beta H(p)`` with s the label in force, p the
    prediction, p^ its mean over the batch and pi the prior, less a constant. From `update_from` on, the label of each
    sample becomes the mean of its predictions in the last epochs, as the training steps made them: of augmented images
    and with batch statistics. The second training is Cross-Entropy with the labels as they are then. A step costs what
    a Cross-Entropy step does.

    Attributes
    ----------
    labels : Tensor [N, C]
        The labels in force.
    """

    Options = Options
    learns_from_clean = False

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        given = one_hot(setting.noisy.labels, setting.num_classes)
        self.labels, self.prior = given, class_prior(given, options.prior)
        self.memory = PredictionMemory(given, options.memory_epochs)
        epochs = setting.training.epochs
        self.first_epochs = max(1, min(round(options.first_share * epochs), epochs - 1))
        self.update_epoch = max(0, round(options.update_from * self.first_epochs) - 1)
        self.first_reported = min(self.first_epochs, epochs - 1)

    @property
    def is_learning_labels(self) -> bool:
        """Whether the first training is still on."""
        return self.epoch < self.first_epochs

    def begin_epoch(self, epoch: int) -> None:
        """Start the second training if it is time to; set modes and the learning rate."""
        if epoch == self.first_epochs:
            self.student.load_state_dict(self.setting.build("second student").state_dict())
            self.optimiser.state.clear()
        super().begin_epoch(epoch)
        set_learning_rate(self.optimiser, self._learning_rate())
        if self.is_learning_labels:
            self.memory.begin_epoch(epoch)

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the noisy batch with the labels in force; clean images are not used."""
        logits, labels = self.student(noisy.inputs), self.labels[noisy.indices]
        if self.is_learning_labels:
            self.memory.write(noisy.indices, logits.detach().softmax(dim=1))
            loss = joint_loss(logits, labels, self.prior, self.options)
        else:
            loss = F.cross_entropy(logits, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"student_loss": loss.detach()}

    def end_epoch(self, epoch: int) -> None:
        """Put the averaged predictions into force."""
        if self.update_epoch <= epoch < self.first_epochs:
            self.labels = self.memory.mean(self.labels)

    def _learning_rate(self) -> float:
        options, training = self.options, self.setting.training
        if self.is_learning_labels:
            return options.first_lr or training.lr
        length = training.epochs - self.first_epochs
        return decayed(
            options.second_lr or training.lr, 0.1, self.epoch - self.first_epochs, length, options.second_parts
        )


class PredictionMemory:
    """The predictions of the last epochs, one per sample and epoch.

    Parameters
    ----------
    like : Tensor [N, C]
        Distributions as they will be written.
    epochs : int
        How many are kept.
    """

    def __init__(self, like: Tensor, epochs: int) -> None:
        self.predictions = like.new_zeros(epochs, *like.shape)
        self.written = like.new_zeros(epochs, len(like), 1)
        self.place = 0

    def begin_epoch(self, epoch: int) -> None:
        """Forget the oldest epoch, whose place `epoch` takes."""
        self.place = epoch % len(self.written)
        self.predictions[self.place] = 0
        self.written[self.place] = 0

    def write(self, indices: Tensor, predictions: Tensor) -> None:
        """Keep predictions [n, C] of a batch."""
        self.predictions[self.place, indices] = predictions.to(self.predictions.dtype)
        self.written[self.place, indices] = 1

    def mean(self, labels: Tensor) -> Tensor:
        """Return each sample's mean prediction [N, C]; a sample without any keeps what it has in `labels`."""
        counts = self.written.sum(dim=0)
        return torch.where(counts > 0, self.predictions.sum(dim=0) / counts.clamp(min=1), labels)


def class_prior(labels: Tensor, kind: str) -> Tensor:
    """Return the frequencies [C] of the classes that one of :data:`PRIORS` stands for."""
    return labels.mean(dim=0) if kind == "given" else torch.full_like(labels[0], 1 / labels.shape[1])


def joint_loss(logits: Tensor, labels: Tensor, prior: Tensor, options: Options) -> Tensor:
    """Return the loss of the first training: classification, prior and entropy (section 3 of the paper).

    Parameters
    ----------
    logits, labels : Tensor [n, C]
    prior : Tensor [C]
    options : Options
    """
    mean_prediction = logits.softmax(dim=1).mean(dim=0)
    towards_prior = -torch.xlogy(prior, mean_prediction).sum()
    classification = F.cross_entropy(logits, labels)
    return classification + options.prior_weight * towards_prior + options.entropy_weight * entropy(logits)


METHOD = JointOptim
