"""FaMUS: the public code's warm-up, mixture and epochs, whose gates let a few layers' meta-gradient through."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.gates import HIDDEN, LAST
from pipelines.official import divided, ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.meta_module import weight_net
from pipelines.official.networks import copy_weights
from pipelines.official.source import Definitions, load, needed
from pipelines.official.streams import Loader, Source

REPOSITORY = Repository("youjiangxu", "FaMUS", "26a7b22c85f77aba4a2587dc9357168438dda11e")

TARGETS = "the pseudo-clean batch has refined labels, by predictions that running statistics notice"
PRIOR = "the meta-objective has the KL divergence of predictions too"
RAMP = "lambda_u grows once an epoch"
MOMENTUM = "weight network and gates learn with Nesterov momentum, the former with weight decay"
LAYER = "gates have a second hidden layer"
SPREAD = "gates see gradients divided by their unbiased standard deviation"
OPTIONS = {"gates": "last-tensors", "gap_weight": 0.0, "meta_lr": 0.1, "alpha": 1.0, "unlabelled_weight": 50.0}
"""The released option, without the loss of gradients' means, which the code computes otherwise."""
META, GATES, DATA = ("FaMUS/wideresnet.py", "FaMUS/grad_operator_layer.py", "FaMUS/data_utils.py")
SCRIPT, GUMBEL, NETWORKS = ("FaMUS/train_famus_redminiimage.py", "FaMUS/gumbel_softmax.py", "FaMUS/preresnet.py")


def cases(clone: Path) -> Iterator[Case]:
    """Yield the released option."""
    chosen, files = divided.options(**OPTIONS), _files(clone)
    defects = (TARGETS, PRIOR, RAMP, MOMENTUM, LAYER, SPREAD)
    yield Case("released option, without L_g", partial(_ours, chosen), partial(_official, files, chosen), defects)


def _files(clone: Path) -> dict[str, Definitions]:
    """Return definitions by file; what one file imports of another is given to it."""
    same = {"to_var": lambda values, requires_grad=True: values}
    files = {META: load(clone, META), GUMBEL: load(clone, GUMBEL), DATA: load(clone, DATA, same)}
    layers = {name: value for name, value in files[META].items() if name.startswith("Meta")}
    files[NETWORKS] = load(clone, NETWORKS, layers)
    files[GATES] = load(clone, GATES, layers | {"gumbel_softmax": needed(files[GUMBEL], "gumbel_softmax")})
    gated = {"_compute_gated_grad": needed(files[GATES], "_compute_gated_grad")}
    silent = {"tqdm": lambda steps: steps, "test": lambda *_: None}
    converting = {"convert_train_data": needed(files[DATA], "convert_train_data")}
    files[SCRIPT] = load(clone, SCRIPT, same | gated | silent | converting)
    files[SCRIPT]["official_ramp"] = needed(files[SCRIPT], "get_lambda_u")
    files[SCRIPT]["official_prior"] = needed(files[SCRIPT], "regularization")
    return files


def _make(chosen: dict[str, Any]) -> Any:
    return ours.make("baselines.famus", chosen, divided.recipe(nesterov=True))


def _ours(chosen: dict[str, Any], steps: int) -> State:
    method = _make(chosen)
    method.meta = Source("pseudo-clean", len(method.views), steps)
    state = divided.train(method, steps, epochs=3)
    nets = [list(net.parameters()) for net in method.weight_nets]
    return state | _meta_state(nets, [list(gates.parameters()) for gates in method.gates])


def _meta_state(nets: list[list[Tensor]], gates: list[list[Tensor]]) -> State:
    state: State = {}
    for name, net, gate in zip(("first", "second"), nets, gates, strict=True):
        state |= {f"{name}: weight network": net, f"{name}: gates": gate}
    return state


def _official(files: dict[str, Definitions], chosen: dict[str, Any], steps: int, undone: bool) -> State:
    initial, drawn = _make(chosen), ours.generator(ours.DRAWN)
    script, data = files[SCRIPT], files[DATA]
    run = _Script(files, initial, undone=undone)
    shared = divided.draws(drawn)
    data.update(shared)
    cuda = SimpleNamespace(FloatTensor=_Uniforms(drawn, len(initial.gates[0].gates)))
    files[GUMBEL]["torch"] = divided.Instead(torch, cuda=cuda)
    script["convert_meta_data"] = partial(_given_labels, data) if undone else needed(data, "convert_meta_data")
    ramp, prior = script["official_ramp"], script["official_prior"]
    script["get_lambda_u"] = _StepByStep(ramp, steps) if undone else ramp
    script["regularization"] = _OfTrainingOnly(prior) if undone else prior
    state = run.train(steps, epochs=3)
    return state | _meta_state([list(net.params()) for net in run.nets], run.gate_parameters())


class _Script(divided.Official):
    """Its epochs, and the meta-learners of both networks."""

    streams = ("labelled", "unlabelled", "pseudo-clean")

    def __init__(self, files: dict[str, Definitions], initial: Any, *, undone: bool) -> None:
        super().__init__(files[SCRIPT], initial, _Replaceable)
        chosen, told = initial.options, initial.setting.training
        self.nets = [weight_net(files[NETWORKS], net, chosen.hidden) for net in initial.weight_nets]
        self.gates = [[_gate(files[GATES], gate, undone) for gate in gates.gates] for gates in initial.gates]
        momentum = {} if undone else {"momentum": told.momentum, "nesterov": True}
        decay = {} if undone else {"weight_decay": told.weight_decay}
        self.net_optimisers = [torch.optim.SGD(net.params(), chosen.meta_lr, **momentum, **decay) for net in self.nets]
        self.gate_optimisers = [
            [torch.optim.SGD(_learned(gate, undone), chosen.gate_lr, **momentum) for gate in gates]
            for gates in self.gates
        ]
        self.script.update(build_model=lambda _: _Replaceable(copy.deepcopy(initial.networks[0])))
        vars(self.script["args"]).update(
            warmup_epochs=divided.WARM_UP, lr=told.lr, step1=divided.EPOCHS, step2=divided.EPOCHS, regularization=True,
            rampup_length=divided.RAMP, mse_factor=0.0, act_factor=chosen.gate_weight, num_act=chosen.open_gates,
            top_k=LAST, num_classes=ours.CLASSES,
        )  # fmt: skip

    def warm_up(self, epoch: int, *given: Any) -> None:
        """Let a network learn from all given labels."""
        needed(self.script, "warmup")(*given, None, None)

    def assess(self, epoch: int, number: int) -> Any:
        """Return the probabilities of a low loss [N] by a network."""
        loader = self.script["eval_loader"]
        return needed(self.script, "eval_train")(self.networks[number], loader, self.histories[number])[0]

    def learn(self, epoch: int, turn: int, sources: list[Source]) -> None:
        """Let a network learn from the division by its peer; its set for the meta-learner is the peer's, too."""
        credibility = torch.as_tensor(self.credibility[1 - turn])
        above = credibility > self.options.threshold
        for source, chosen in zip(sources, (above, ~above, credibility > self.options.meta_threshold), strict=True):
            source.over(chosen.nonzero().flatten())
        loaders = [Loader(source, partial(self.labelled, credibility)) for source in sources]
        needed(self.script, "train_epoch")(
            epoch - divided.WARM_UP, divided.EPOCHS, self.networks[turn], self.networks[1 - turn], *loaders,
            self.optimisers[turn], self.nets[turn], self.net_optimisers[turn], self.gates[turn],
            self.gate_optimisers[turn],
        )  # fmt: skip

    def gate_parameters(self) -> list[list[Tensor]]:
        """Return of both networks' gates what ours have as well."""
        return [[value for gate in gates for value in _learned(gate, undone=True)] for gates in self.gates]


class _Replaceable(nn.Module):
    """One of our networks with the interface of official ones, whose weights a virtual step can replace."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.given: list[Tensor] = []

    def params(self) -> Iterator[Tensor]:
        """Yield the weights that are in force."""
        return iter(self.given or self.backbone.parameters())

    def update_params(self, lr_inner: float, source_params: list[Tensor]) -> None:
        """Take a step inside the graph."""
        self.given = [value - lr_inner * slope for value, slope in zip(self.params(), source_params, strict=True)]

    def forward(self, images: Tensor, detach: bool = False) -> Tensor:
        """Return logits; all layers lie above the one at which the official network can cut its graph."""
        if not self.given:
            return self.backbone(images)
        names = (name for name, _ in self.backbone.named_parameters())
        return functional_call(self.backbone, dict(zip(names, self.given, strict=True)), (images,))


def _gate(definitions: Definitions, gate: nn.Module, undone: bool) -> Any:
    """Return the official gate with the weights of ours; its second hidden layer begins as the identity."""
    first, slope, last = gate.layers
    made = needed(definitions, "GradGumbelSoftmax")(first.in_features, HIDDEN, input_norm=True)
    identity = [torch.eye(HIDDEN), torch.zeros(HIDDEN), torch.ones(1)]
    copy_weights([*first.parameters(), *slope.parameters(), *identity, *last.parameters()], list(made.params()))
    if undone:
        made.linear1.register_forward_pre_hook(lambda _, inputs: (inputs[0] / inputs[0].std(correction=0),))
    return made


def _learned(gate: Any, undone: bool) -> list[Tensor]:
    """Return a gate's parameters, without those of the second hidden layer where that is undone."""
    values = list(gate.params())
    return values[:3] + values[6:] if undone else values


class _Uniforms:
    """What a gate fills its tensor with: what our gates draw, gate by gate."""

    def __init__(self, drawn: torch.Generator, gates: int) -> None:
        self.drawn, self.gates = drawn, gates
        self.rows: list[Tensor] = []

    def __call__(self, _: Any) -> "_Uniforms":
        """Make a tensor that is yet to be filled."""
        return self

    def uniform_(self) -> Tensor:
        """Return two numbers [1, 2]."""
        if not self.rows:
            self.rows = list(torch.rand(self.gates, 2, generator=self.drawn))
        return self.rows.pop(0)[None]


def _given_labels(data: Definitions, batch: Any, first: Any, second: Any, classes: int, alpha: float) -> Any:
    """Return a pseudo-clean batch, mixed, with given labels."""
    one, other, labels, _ = batch
    targets = F.one_hot(labels, classes).repeat(2, 1).to(one.dtype)
    return needed(data, "mixmatch")((torch.cat((one, other)), targets, targets), alpha)


class _StepByStep:
    """The official ramp of the unlabelled loss, which grows with every step: asked twice in each."""

    def __init__(self, ramp: Any, steps: int) -> None:
        self.ramp, self.steps, self.asked = ramp, steps, 0

    def __call__(self, epoch: int, **length: Any) -> float:
        """Return the weight."""
        step = self.asked // 2 % self.steps
        self.asked += 1
        return self.ramp(epoch + step / self.steps, **length)


class _OfTrainingOnly:
    """The official divergence, without the second of the three times that a step asks for it."""

    def __init__(self, divergence: Any) -> None:
        self.divergence, self.asked = divergence, 0

    def __call__(self, logits: Tensor) -> Any:
        """Return the divergence, or 0 for the meta-objective."""
        self.asked += 1
        return 0.0 if self.asked % 3 == 2 else self.divergence(logits)
