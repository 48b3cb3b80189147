"""What an object holds comes back wherever it holds it, and what cannot come back is refused by name."""

import copy
import io
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from emlc.engine.contract import Method, Samples, Training, student_sgd
from emlc.engine.state import modes, networks, set_modes
from tests.settings import make_setting, numbered


class Pair(NamedTuple):
    network: nn.Module
    name: str


@dataclass(frozen=True)
class Peer:
    network: nn.Module
    memory: torch.Tensor
    images: Samples
    rule: Any = len


class Stateful(Method):
    """Has an attribute of every kind, all of them drawn from a seed."""

    def __init__(self, seed=0, **extra):
        super().__init__(make_setting(None, Training(1, 2, 0.1, 0.9, 0.0), 2, torch.zeros(4)), None)
        torch.manual_seed(seed)
        self.net = nn.Linear(2, 2)
        self.optimiser = student_sgd(self.net, self.setting.training)
        self.listed, self.named = [nn.Linear(1, 1), torch.rand(2)], {"a": nn.BatchNorm1d(2), "b": seed}
        self.peer = Peer(nn.Linear(2, 1), torch.rand(3), self.setting.noisy)
        self.nested = SimpleNamespace(pair=Pair(nn.Linear(1, 2), "x"), shared=self.peer, depth={"c": [torch.rand(1)]})
        self.free = nn.Parameter(torch.rand(3))
        self.label_optimiser = torch.optim.SGD([self.free], lr=1.0)
        self.stream, self.draws = self.setting.noisy.stream(2, "weak"), torch.Generator().manual_seed(seed)
        self.ratio, self.table, self.pair, self.word = 0.5 + seed, {"a": [torch.rand(2)]}, (seed, 2.0), f"w{seed}"
        self.rule = lambda value: value
        vars(self).update(extra)

    def steps(self):
        raise NotImplementedError

    step = logits = steps


def stored(state):
    """What a checkpoint gives back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def leaves(value):
    """The tensors, numbers and texts of a state, in order, exactly."""
    if isinstance(value, dict):
        return [leaf for key, part in value.items() for leaf in (key, *leaves(part))]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [value.tolist()] if isinstance(value, torch.Tensor) else [value]


def changed():
    """One of seed 1 whose every part has moved on."""
    method = Stateful(1)
    (method.net(torch.ones(1, 2)).sum() + method.free.square().sum()).backward()
    method.optimiser.step(), method.label_optimiser.step()
    method.stream.over(torch.tensor([0, 3])), method.stream.next(), torch.rand(3, generator=method.draws)
    method.named["a"](torch.rand(4, 2))
    method.epoch = 7
    return method


def test_everything_comes_back():
    source, method = changed(), Stateful()
    method.load_state(stored(source.state()))
    assert leaves(method.state()) == leaves(source.state())
    assert (method.epoch, method.ratio, method.pair, method.word) == (7, 1.5, (1, 2.0), "w1")
    assert (method.named["b"], method.nested.pair.name) == (1, "x")
    assert torch.equal(method.peer.memory, source.peer.memory)
    assert torch.equal(method.stream.next().inputs, source.stream.next().inputs)


def test_what_was_one_thing_stays_one_thing():
    method = Stateful()
    weight, free = method.net.weight, method.free
    method.load_state(stored(changed().state()))
    assert method.net.weight is weight
    assert method.free is free
    assert method.label_optimiser.param_groups[0]["params"][0] is free
    assert method.nested.shared is method.peer
    assert method.setting.noisy is method.peer.images


def test_a_tensor_in_two_places_stays_one():
    memory = torch.zeros(3)
    source, other = Stateful(first=memory, second=[memory]), Stateful(first=torch.ones(3), second=[torch.ones(3)])
    other.load_state(stored(source.state()))
    other.first[0] = 5
    assert other.second[0][0] == 5


def test_a_state_names_what_it_holds_and_leaves_out_what_is_given():
    attributes = Stateful().state()["attributes"]
    assert "setting" not in attributes
    assert "options" not in attributes
    assert "rule" not in attributes
    assert set(attributes["peer"]["parts"]) == {"network", "memory"}


@pytest.mark.parametrize("extra", [{1, 2}, object(), [object()], {"a": {3}}, Stateful.steps.__get__(1)])
def test_what_no_checkpoint_can_hold_is_refused_by_name(extra):
    with pytest.raises(TypeError, match=r"attribute extra.* is a "):
        Stateful(extra=extra).state()


def test_what_holds_itself_is_refused():
    ring = SimpleNamespace()
    ring.ring = ring
    with pytest.raises(TypeError, match=r"attribute extra\.ring is a SimpleNamespace"):
        Stateful(extra=ring).state()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (nn.Linear(1, 1), None),
        ([nn.Linear(1, 1)], []),
        (torch.Generator(), 3),
        (SimpleNamespace(a=1), torch.zeros(2)),
    ],
)
def test_what_a_fresh_method_does_not_have_is_refused(then, now):
    state = Stateful(extra=then).state()
    with pytest.raises(TypeError, match="attribute extra was made while training; make it in __init__"):
        Stateful(extra=now).load_state(state)


def test_plain_values_may_be_made_while_training():
    method = Stateful()
    method.load_state(Stateful(late=[1, torch.ones(2)]).state())
    assert method.late[0] == 1


def test_modes_come_back_layer_by_layer():
    def net():
        return nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))

    owner, other = {"a": [net()]}, {"a": [net()]}
    owner["a"][0][1].eval()
    owner["a"][0][0].bias.requires_grad_(False)
    set_modes(other, modes(owner))
    (restored,) = networks(other)
    assert [layer.training for layer in restored.modules()] == [True, True, False]
    assert [value.requires_grad for value in restored.parameters()] == [True, False, True, True]


def test_a_set_is_shared_not_copied():
    samples = numbered(torch.zeros(3))
    stream = samples.stream(2, "weak")
    twin = copy.deepcopy(stream)
    assert twin.samples is samples
    expected = stream.next()
    assert torch.equal(twin.next().inputs, expected.inputs)
    assert twin.generator is not stream.generator
