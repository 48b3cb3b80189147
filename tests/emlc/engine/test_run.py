"""Whole runs of every method in the repository: put together as the recipe says, without side effects."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from emlc.engine.contract import Method, StudentMethod, Training
from emlc.engine.loop import Scored
from emlc.engine.run import Recipe, build_method, build_scored, method_class, parse_options, run
from emlc.engine.streams import BalancedStream, FixedOrderStream, Stream
from emlc.engine.trial import ARRAYS, CPU, SPEC, TASK
from emlc.records.errors import SuiteError
from emlc.tasks.draw import make_task
from emlc.tasks.seeds import derive_seed
from tests.tiny import TRAINING, variants

RECIPE = Recipe(
    implementation="baselines.cross_entropy",
    options={},
    training=Training(**TRAINING),
    model={"name": "cnn-small", "width": 4},
    order="reshuffled",
    crop_padding=1,
    flips=False,
    mean=(0.3,),
    std=(0.4,),
    seed=0,
)
VARIANTS = {
    name: replace(RECIPE, implementation=module, options=options) for name, (module, options) in variants().items()
}
OWN_BATCHES = {"baselines.meta_cleaner"}
"""Methods of one student whose steps are not batches of the shared size: sets of images with one label each."""
STUDENTS = {
    name: recipe
    for name, recipe in VARIANTS.items()
    if issubclass(method_class(recipe.implementation), StudentMethod) and recipe.implementation not in OWN_BATCHES
}
every_method = pytest.mark.parametrize("recipe", [pytest.param(recipe, id=name) for name, recipe in VARIANTS.items()])


@dataclass
class Session:
    """A method and its data, as one process holds them."""

    method: Method
    scored: Scored

    @classmethod
    def start(cls, recipe: Recipe) -> "Session":
        return cls(build_method(recipe, TASK, ARRAYS, CPU), build_scored(recipe, TASK, ARRAYS, CPU))

    def steps(self, count: int) -> list[dict[str, torch.Tensor]]:
        return [self.method.step() for _ in range(count)]


def assert_identical(one, other) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.fixture(scope="module")
def histories():
    """One history per variant, shared by the tests below."""
    return {name: run(recipe, TASK, ARRAYS, CPU) for name, recipe in VARIANTS.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_seed_gives_the_same_history_and_another_seed_another(name, histories):
    again = run(VARIANTS[name], TASK, ARRAYS, CPU)
    assert (again.epochs, again.steps) == (histories[name].epochs, histories[name].steps)
    other = run(replace(VARIANTS[name], seed=1), TASK, ARRAYS, CPU)
    assert other.steps[0]["student_loss"] != again.steps[0]["student_loss"]
    assert other.epochs != again.epochs


@pytest.mark.parametrize("name", VARIANTS)
def test_histories_have_the_common_columns(name, histories):
    history = histories[name]
    assert [row["epoch"] for row in history.epochs] == [0, 1, 2, 3]
    assert [row["step"] for row in history.steps] == list(range(len(history.steps)))
    assert {row["epoch"] for row in history.steps} == {0, 1, 2, 3}
    assert all("student_loss" in row for row in history.steps)


@pytest.mark.parametrize("name", STUDENTS)
def test_an_epoch_has_the_full_batches_of_the_noisy_set(name, histories):
    look_ahead = STUDENTS[name].options.get("look_ahead", 1)
    assert len(histories[name].steps) == 4 * (65 // (12 * look_ahead))


@every_method
def test_noisy_labels_and_arrays_are_not_written_to(recipe):
    before = TASK.noisy_labels.copy(), ARRAYS.train_images.copy()
    session = Session.start(recipe)
    session.method.begin_epoch(0)
    session.steps(3)
    assert np.array_equal(session.method.setting.noisy.labels.numpy(), before[0])
    assert np.array_equal(TASK.noisy_labels, before[0])
    assert np.array_equal(ARRAYS.train_images, before[1])


def test_tensors_do_not_share_the_task_s_memory():
    """It is read-only: writing to it through a tensor would be undefined, and torch warns in every user's log."""
    session = Session.start(RECIPE)
    assert session.method.setting.noisy.labels.data_ptr() != TASK.noisy_labels.ctypes.data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Session.start(RECIPE)


def test_methods_of_one_student_start_from_the_same_one_and_see_the_same_batches():
    sessions = [Session.start(recipe) for recipe in STUDENTS.values() if "look_ahead" not in recipe.options]
    noisy = [session.method.noisy.next() for session in sessions]
    for session, batch in zip(sessions, noisy, strict=True):
        assert_identical(dict(session.method.student.state_dict()), dict(sessions[0].method.student.state_dict()))
        assert_identical((batch.inputs, batch.indices), (noisy[0].inputs, noisy[0].indices))


def whole(samples):
    """A set as it stands: its plain images and its labels."""
    batches = list(samples.batches())
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.labels for batch in batches])


def expected(images, labels):
    return (torch.tensor(images).permute(0, 3, 1, 2).float() / 255 - 0.3) / 0.4, torch.tensor(labels)


def test_the_sets_by_hand():
    session = Session.start(RECIPE)
    setting, train_images = session.method.setting, ARRAYS.train_images
    clean = ARRAYS.train_labels[TASK.clean_indices]
    torch.testing.assert_close(whole(setting.noisy), expected(train_images[TASK.noisy_indices], TASK.noisy_labels))
    torch.testing.assert_close(whole(setting.clean), expected(train_images[TASK.clean_indices], clean))
    torch.testing.assert_close(whole(session.scored.test), expected(ARRAYS.test_images, ARRAYS.test_labels))
    assert (session.method.noisy.size, session.method.clean.size) == (12, 12)


def test_students_are_selected_on_the_validation_set():
    """It is the clean set itself, except in the released split."""
    for split in ("balanced", "released"):
        task = make_task(ARRAYS, replace(SPEC, split=split), None, 0)
        validation = whole(build_scored(RECIPE, task, ARRAYS, CPU).validation)
        images, labels = ARRAYS.train_images[task.validation_indices], ARRAYS.train_labels[task.validation_indices]
        torch.testing.assert_close(validation, expected(images, labels))
        clean = whole(build_method(RECIPE, task, ARRAYS, CPU).setting.clean)
        assert torch.equal(validation[0], clean[0]) == (split == "balanced")


def test_every_run_has_generators_of_its_own():
    emlc = VARIANTS["emlc.method k=1"]
    mlc = VARIANTS["baselines.mlc k=1"]
    recipes = [emlc, replace(emlc, seed=1), mlc, replace(mlc, seed=1)]
    settings = [Session.start(recipe).method.setting for recipe in recipes]
    seeds = [generator.initial_seed() for setting in settings for generator in (setting.generator, setting.initial)]
    assert len(set(seeds)) == 8


@pytest.mark.parametrize(("order", "kind"), [("reshuffled", Stream), ("fixed", FixedOrderStream)])
def test_streams_follow_the_method_s_wishes_and_the_protocol_s_order(order, kind):
    emlc = replace(RECIPE, implementation="emlc.method", options={"look_ahead": 5}, order=order)
    method = build_method(emlc, TASK, ARRAYS, CPU)
    assert (method.noisy.size, method.clean.size) == (60, 12)
    assert (method.noisy.views, method.clean.views) == (("weak",), ("auto",))
    assert (type(method.noisy), type(method.clean)) == (kind, kind)
    fasten = build_method(replace(emlc, implementation="baselines.fasten", options={}), TASK, ARRAYS, CPU)
    assert (type(fasten.noisy), type(fasten.clean)) == (kind, BalancedStream)
    assert fasten.clean.views == ("weak",)


def test_streams_of_one_set_differ_by_their_names_and_by_nothing_else():
    """The draws of the first stream are frozen: every recorded run depends on them."""
    noisy = Session.start(RECIPE).method.setting.noisy
    orders = [noisy.stream(12, "weak", name=name).order for name in ("", "", "second", "third")]
    assert torch.equal(orders[0], orders[1])
    assert len({tuple(order.tolist()) for order in orders}) == 3
    generator = torch.Generator().manual_seed(derive_seed("noisy", 0))
    assert torch.equal(orders[0], torch.randperm(len(noisy), generator=generator))


@pytest.mark.parametrize("implementation", ["baselines.nothing", "emlc.tasks.seeds", "baselines"])
def test_what_is_no_method_is_refused_in_one_line(implementation):
    with pytest.raises(SuiteError, match=f"^{implementation} is not a method: .*; see docs/adding-a-method.md$"):
        method_class(implementation)


def test_a_noisy_set_too_small_for_a_step_is_refused():
    recipe = replace(RECIPE, implementation="emlc.method", options={"look_ahead": 5})
    recipe = replace(recipe, training=replace(recipe.training, batch_size=len(TASK.noisy_indices) // 5 + 1))
    with pytest.raises(SuiteError, match=r"^a step needs 5 batches of \d+ images, the noisy set has \d+; lower"):
        run(recipe, TASK, ARRAYS, CPU)


def test_unknown_options_are_refused_with_the_known_ones():
    options = method_class("baselines.mlc").Options
    with pytest.raises(
        SuiteError, match=r"^baselines\.mlc has no option 'meta_lr'; its options: embedding, gradient_steps"
    ):
        parse_options(options, {"meta_lr": 1}, "baselines.mlc")
    with pytest.raises(SuiteError, match=r"has no option 'lr'; its options: none$"):
        parse_options(method_class("baselines.cross_entropy").Options, {"lr": 1}, "baselines.cross_entropy")
    assert parse_options(options, {"teacher_lr": 0.5}, "baselines.mlc").teacher_lr == 0.5


@pytest.mark.parametrize("value", ["3e-4", None, [1]])  # YAML 1.1 reads 3e-4, without a point, as a text
def test_options_of_the_wrong_type_are_refused_by_name(value):
    with pytest.raises(SuiteError, match="teacher_lr"):
        parse_options(method_class("baselines.mlc").Options, {"teacher_lr": value}, "baselines.mlc")
