"""The teacher of Fig. 3: its own feature extractor and classifier, a label embedding, and a gate between them.

Gates and feature extractors go by name, so that an ablation can take a part away.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from emlc.models import Backbone, initialise, processes, undrawn

EMBEDDING = 128
HIDDEN = 128
"""Sizes of the label embedding and of the gate's hidden layer (MitchellKT/Enhanced-Meta-Label-Correction)."""


class Correction(NamedTuple):
    """What the teacher says of a batch.

    Attributes
    ----------
    soft_targets : Tensor [n, C]
        q = w onehot(label) + (1 - w) softmax(prediction).
    prediction : Tensor [n, C]
        Logits of the teacher's own classifier.
    retain : Tensor [n]
        Logits of the gate's weight w on the given label.
    """

    soft_targets: Tensor
    prediction: Tensor
    retain: Tensor


class Gate(nn.Module):
    """MLP on [features ; label embedding] with one output: how far to trust the given label.

    Parameters
    ----------
    feature_dim, num_classes : int
    generator : torch.Generator
        Draws the initial weights (standard normal embedding, default-uniform linear layers).
    """

    def __init__(self, feature_dim: int, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        with undrawn(self):
            self.embedding = nn.Embedding(num_classes, EMBEDDING)
            self.hidden = nn.Linear(feature_dim + EMBEDDING, HIDDEN)
            self.output = nn.Linear(HIDDEN, 1)
        initialise(self, generator)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the retain logit [n] for features [n, d] and given labels [n]."""
        joint = torch.cat([features, self.embedding(labels)], dim=1)
        return self.output(F.relu(self.hidden(joint))).squeeze(1)


class FeaturesGate(nn.Module):
    """A gate that sees the features only: it trusts any label given to an image alike. Parameters as :class:`Gate`."""

    def __init__(self, feature_dim: int, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        with undrawn(self):
            self.hidden = nn.Linear(feature_dim, HIDDEN)
            self.output = nn.Linear(HIDDEN, 1)
        initialise(self, generator)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the retain logit [n] for features [n, d]."""
        return self.output(F.relu(self.hidden(features))).squeeze(1)


class NoGate(nn.Module):
    """Never retains the given label: the corrected label is the teacher's prediction. Parameters as :class:`Gate`."""

    LOGIT = -100.0
    """Its sigmoid is 0 in float32, its Cross-Entropy finite."""

    def __init__(self, feature_dim: int, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the retain logit [n] that means never."""
        return features.new_full((len(features),), self.LOGIT)


GATES: dict[str, Callable[[int, int, torch.Generator], nn.Module]] = {
    "label": Gate,
    "features": FeaturesGate,
    "none": NoGate,
}
"""What the gate sees -> class."""


class _Features(nn.Module):
    """The student as a function from images to features."""

    def __init__(self, student: Backbone) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        return self.student.features(images)


class StudentFeatures(nn.Module):
    """A teacher's backbone that looks at the student's features, as MLC's does; only the classifier is its own.

    Parameters
    ----------
    student : Backbone
        Never changed from here: no gradient reaches it and its running statistics stay.
    num_classes : int
    generator : torch.Generator
        Draws the classifier.
    """

    def __init__(self, student: Backbone, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.feature_dim = student.feature_dim
        with undrawn(self):
            self.classifier = nn.Linear(self.feature_dim, num_classes)
        initialise(self, generator)
        self._extractor = (_Features(student),)  # in a tuple, so that its parameters are not the teacher's

    def features(self, images: Tensor) -> Tensor:
        """Return the student's features [n, d], detached."""
        (extractor,) = self._extractor
        buffers = {name: buffer.clone() for name, buffer in extractor.named_buffers()}
        with torch.no_grad():
            return functional_call(extractor, buffers, (images,))


class Teacher(nn.Module):
    """q_alpha(y | x, given label), independent of the student (section 3.6).

    Parameters
    ----------
    backbone : nn.Module
        With ``features(x) -> [n, d]``, ``classifier`` and ``feature_dim``.
    num_classes : int
    generator : torch.Generator
        For the gate's initial weights.
    gate : str
        A key of :data:`GATES`; the paper's sees features and label.
    """

    def __init__(self, backbone: nn.Module, num_classes: int, generator: torch.Generator, gate: str = "label") -> None:
        super().__init__()
        self.backbone = backbone
        self.gate = GATES[gate](backbone.feature_dim, num_classes, generator)

    def parts(self) -> Iterator[tuple[str, list[nn.Parameter]]]:
        """Yield the parameters of the body (features and classifier) and of the gate, where it has any."""
        for name, module in (("body", self.backbone), ("gate", self.gate)):
            parameters = list(module.parameters())
            if parameters:
                yield name, parameters

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [n, d] and prediction logits [n, C]."""
        features = self.backbone.features(inputs)
        return features, self.backbone.classifier(features)

    def correct(self, features: Tensor, prediction: Tensor, labels: Tensor) -> Correction:
        """Gate between the prediction and the given labels [n]."""
        retain = self.gate(features, labels)
        weight = torch.sigmoid(retain).unsqueeze(1)
        given = F.one_hot(labels, prediction.shape[1]).to(prediction.dtype)
        return Correction(weight * given + (1 - weight) * prediction.softmax(dim=1), prediction, retain)

    def forward(self, inputs: Tensor, labels: Tensor) -> Correction:
        """Correct the labels [n] given with the images `inputs` [n, ...]."""
        return self.correct(*self.encode(inputs), labels)


def corrupt_at_random(labels: Tensor, prediction: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform i.i.d. labels [n] (section 3.6, random corruption); the true one may come up."""
    count = processes.whole(len(labels))
    return processes.part(torch.randint(prediction.shape[1], (count,), generator=generator, device=labels.device))


def corrupt_adversarially(labels: Tensor, prediction: Tensor, generator: torch.Generator) -> Tensor:
    """Return the strongest incorrect prediction of the teacher's classifier for each sample, [n]."""
    return prediction.detach().scatter(1, labels.unsqueeze(1), float("-inf")).argmax(dim=1)


def leave_alone(labels: Tensor, prediction: Tensor, generator: torch.Generator) -> Tensor:
    """Return the labels [n] as they are."""
    return labels


CORRUPTIONS = {"none": leave_alone, "random": corrupt_at_random, "adversarial": corrupt_adversarially}
"""How half of each clean batch is corrupted for the label-retaining loss."""
