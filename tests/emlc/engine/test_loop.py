"""The loop by a scripted method: who is called when, what the history says, divergence, selection, resuming."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from emlc.engine.contract import Method, Training, set_learning_rate, student_sgd
from emlc.engine.keepers import Keeper
from emlc.engine.loop import History, Scored, select_epoch, train
from emlc.engine.schedules import SCHEDULES
from emlc.records.errors import DivergenceError, SuiteError
from tests.settings import numbered


class Scripted(Method):
    """Says what it is told and notes who called; its logits favour class 0 in even epochs."""

    def __init__(self, script=None, steps=2):
        self.setting = SimpleNamespace(noisy=SCORED.validation, clean=SCORED.test)
        self.epoch, self.first_reported, self.count = 0, 0, steps
        self.student = nn.Flatten()
        self.calls, self.script, self.taken, self.even = [], script or {}, 0, True

    def begin_epoch(self, epoch):
        self.calls.append(f"begin {epoch}")
        self.even = epoch % 2 == 0

    def steps(self):
        return self.count

    def step(self):
        self.taken += 1
        self.calls.append(f"step {self.taken}")
        loss = self.script.get(self.taken, float(self.taken))
        return {"student_loss": torch.tensor(loss), "other": torch.tensor(-1.0, dtype=torch.float64)}

    def end_epoch(self, epoch):
        self.calls.append(f"end {epoch}")

    def logits(self, inputs):
        self.calls.append(f"logits {len(inputs)}")
        return torch.tensor([[1.0, 0.0] if self.even else [0.0, 1.0]]).expand(len(inputs), 2)


SCORED = Scored(numbered(torch.zeros(5, dtype=torch.int64)), numbered(torch.ones(6, dtype=torch.int64)))


def test_the_order_of_calls():
    method = Scripted()
    train(method, SCORED, 2)
    epochs = [["begin 0", "step 1", "step 2", "end 0"], ["begin 1", "step 3", "step 4", "end 1"]]
    assert method.calls == [call for epoch in epochs for call in (*epoch, "logits 5", "logits 6")]


def test_an_epoch_may_turn_out_longer_while_it_lasts():
    class Growing(Scripted):
        def steps(self):
            return 1 if self.taken < 1 else 3

    assert len(train(Growing(), SCORED, 1).steps) == 3


class Phased(Scripted):
    """Another metric in odd steps, none at all in the third."""

    def step(self):
        loss = super().step().pop("student_loss")
        return {} if self.taken == 3 else {"odd" if self.taken % 2 else "even": loss}


def test_steps_may_have_different_metrics():
    history = train(Phased(steps=3), SCORED, 2)
    assert [{**row, "epoch": 0} for row in history.steps] == [
        {"step": 0, "epoch": 0, "odd": 1.0},
        {"step": 1, "epoch": 0, "even": 2.0},
        {"step": 2, "epoch": 0},
        {"step": 3, "epoch": 0, "even": 4.0},
        {"step": 4, "epoch": 0, "odd": 5.0},
        {"step": 5, "epoch": 0, "even": 6.0},
    ]
    assert (history.epochs[0]["odd"], history.epochs[0]["even"]) == (1, 2)
    assert (history.epochs[1]["odd"], history.epochs[1]["even"]) == (5, 5)


def test_an_epoch_without_steps_is_scored_all_the_same():
    history = train(Scripted(steps=0), SCORED, 1)
    assert (history.steps, history.epochs[0]["validation_accuracy"]) == ([], 100)


def test_the_history_by_hand():
    history = train(Scripted(), SCORED, 2)
    low, high = torch.tensor([1.0, 0.0]).log_softmax(0).neg().tolist()
    losses = ({"validation_loss": pytest.approx(low), "test_loss": pytest.approx(high)},)
    assert history.epochs == [
        {"epoch": 0, "validation_accuracy": 100, "test_accuracy": 0, "student_loss": 1.5, "other": -1, **losses[0]},
        {
            "epoch": 1,
            "validation_accuracy": 0,
            "test_accuracy": 100,
            "student_loss": 3.5,
            "other": -1,
            "validation_loss": pytest.approx(high),
            "test_loss": pytest.approx(low),
        },
    ]
    assert history.steps == [
        {"step": step, "epoch": step // 2, "student_loss": step + 1.0, "other": -1.0} for step in range(4)
    ]
    assert len(history.seconds) == 2
    assert all(seconds > 0 for seconds in history.seconds)


def test_a_resumed_run_counts_on():
    whole = train(Scripted(), SCORED, 3)
    method = Scripted()
    half = train(method, SCORED, 2)
    resumed = train(method, SCORED, 3, half)
    assert resumed is half
    assert (resumed.epochs, resumed.steps) == (whole.epochs, whole.steps)
    assert train(method, SCORED, 3, resumed).steps == whole.steps  # nothing left to do


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_by_name(value):
    history = History()
    with pytest.raises(DivergenceError, match=rf"^student_loss is {value} in epoch 1, step 1; ") as caught:
        train(Scripted({4: value}), SCORED, 3, history)
    assert isinstance(caught.value, SuiteError)
    assert [row["epoch"] for row in history.epochs] == [0]  # what happened before is still known
    assert len(history.steps) == 2


@pytest.mark.parametrize(("step", "advice"), [(1, "normalisation"), (2, "lower the learning rate")])
def test_the_first_step_of_a_run_is_never_blamed_on_the_learning_rate(step, advice):
    with pytest.raises(DivergenceError, match=advice) as caught:
        train(Scripted({step: float("nan")}), SCORED, 1)
    assert ("learning rate" in str(caught.value)) == (step != 1)


def test_a_score_that_is_not_finite_ends_the_run_by_name():
    """Finite losses do not mean finite weights: the last step of an epoch can leave NaN behind."""

    class Overflown(Scripted):
        def logits(self, inputs):
            return torch.full((len(inputs), 2), float("nan"))

    with pytest.raises(DivergenceError, match="loss is nan in epoch 0"):
        train(Overflown(), SCORED, 1)


def row(epoch, accuracy, loss):
    return {"epoch": epoch, "validation_accuracy": accuracy, "validation_loss": loss, "test_accuracy": 100 - accuracy}


def test_selection_takes_the_best_clean_accuracy_and_breaks_ties_by_the_lower_loss():
    assert select_epoch([row(0, 50, 0.1), row(1, 90, 2.0), row(2, 70, 0.0)]) == 1
    assert select_epoch([row(0, 90, 0.5), row(1, 90, 0.3), row(2, 90, 0.4)]) == 1
    assert select_epoch([row(0, 90, 0.5), row(1, 90, 0.5)]) == 0


def test_epochs_of_earlier_phases_are_not_reported():
    epochs = [row(0, 90, 0.5), row(1, 50, 0.3), row(2, 60, 0.4)]
    assert [select_epoch(epochs, first) for first in range(3)] == [0, 2, 2]
    method = Scripted()
    method.first_reported = 1
    history = train(method, SCORED, 3)
    assert [row["validation_accuracy"] for row in history.epochs] == [100, 0, 100]
    assert select_epoch(history.epochs, history.first_reported) == 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_no_epoch_beats_the_selected_one(scores):
    epochs = [row(epoch, float(accuracy), float(loss)) for epoch, (accuracy, loss) in enumerate(scores)]
    accuracy, loss = scores[select_epoch(epochs)]
    assert accuracy == max(accuracies for accuracies, _ in scores)
    assert loss == min(other for reached, other in scores if reached == accuracy)


def test_the_learning_rate_falls_once_at_each_milestone():
    training = Training(5, 2, lr=0.8, momentum=0.9, weight_decay=0.0, milestones=(1, 3), decay=0.5)
    assert [training.learning_rate(epoch) for epoch in range(5)] == [0.8, 0.4, 0.4, 0.2, 0.2]
    assert Training(5, 2, 0.8, 0.9, 0.0).learning_rate(4) == 0.8


def test_a_constant_learning_rate_has_no_milestones():
    training = Training(5, 2, lr=0.8, momentum=0.9, weight_decay=0.0, schedule="constant", milestones=(1,))
    assert [training.learning_rate(epoch) for epoch in range(5)] == [0.8] * 5


def test_a_cosine_falls_from_the_learning_rate_towards_the_final_one():
    training = Training(4, 2, lr=0.9, momentum=0.9, weight_decay=0.0, schedule="cosine", final_lr=0.1)
    rates = [training.learning_rate(epoch) for epoch in range(5)]
    half = math.sqrt(0.5)
    assert rates == pytest.approx([0.9, 0.5 + 0.4 * half, 0.5, 0.5 - 0.4 * half, 0.1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_rises_to_where_the_schedule_is_by_then(schedule):
    plain = Training(10, 2, 0.8, 0.9, 0.0, schedule=schedule, milestones=(2,), decay=0.5)
    warm = dataclasses.replace(plain, warm_up_epochs=4, warm_up_lr=0.04)
    peak = plain.learning_rate(4)
    expected = [0.04 + (peak - 0.04) * epoch / 4 for epoch in range(4)]
    assert [warm.learning_rate(epoch) for epoch in range(4)] == pytest.approx(expected)
    assert [warm.learning_rate(epoch) for epoch in range(4, 10)] == [plain.learning_rate(e) for e in range(4, 10)]


def test_the_student_s_optimiser_is_sgd_by_the_recipe():
    training = Training(5, 2, lr=0.8, momentum=0.7, weight_decay=0.01)
    assert student_sgd(nn.Linear(2, 2), dataclasses.replace(training, nesterov=True)).param_groups[0]["nesterov"]
    optimiser = student_sgd(nn.Linear(2, 2), training)
    group = optimiser.param_groups[0]
    assert isinstance(optimiser, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.8, 0.7, 0.01)
    assert (group["dampening"], group["nesterov"]) == (0, False)
    optimiser.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    set_learning_rate(optimiser, 0.25)
    assert [group["lr"] for group in optimiser.param_groups] == [0.25, 0.25]


def test_a_keeper_is_told_of_every_epoch_after_its_evaluation():
    class Observer(Keeper):
        def after_epoch(self, method, history):
            method.calls.append(f"observed {len(history.epochs) - 1}")

    method = Scripted()
    train(method, SCORED, 2, keeper=Observer())
    assert [call for call in method.calls if "logits" in call or "observed" in call] == [
        call for epoch in range(2) for call in ("logits 5", "logits 6", f"observed {epoch}")
    ]
