"""FPMG against the exact meta-gradient, explicit mixed Hessians, and its own misprints."""

import pytest
import torch
from torch.nn import functional as F

from emlc.metagrad import META_GRADIENTS, feedback_gradient, fpmg_loss, surrogate_loss
from emlc.metagrad.window import logits_at
from tests.emlc.metagrad.scenes import CNN, MLP, Scene, make_scene, relative_error


def fpmg_of(scene: Scene, **overrides) -> torch.Tensor:
    window = scene.window
    arguments = {
        "student": window.student,
        "snapshots": [step.params for step in window.steps],
        "noisy_inputs": [step.inputs for step in window.steps],
        "soft_targets": [step.soft_targets for step in window.steps],
        "feedback": window.feedback,
        "lr": window.lr,
    }
    return scene.teacher_gradient(fpmg_loss(**{**arguments, **overrides}))


def exact(scene: Scene) -> torch.Tensor:
    return scene.teacher_gradient(surrogate_loss(META_GRADIENTS["unrolled"](scene.window), scene.soft_targets))


def finite_difference_of_everything(scene: Scene, step: float = 1e-6) -> torch.Tensor:
    """Move one teacher parameter at a time and replay the student's real steps: no autograd through them at all."""
    window = scene.window
    teacher_values = torch.nn.utils.parameters_to_vector(scene.teacher.parameters()).detach()

    def clean_loss(values: torch.Tensor) -> float:
        torch.nn.utils.vector_to_parameters(values, scene.teacher.parameters())
        params = {name: value.clone() for name, value in window.steps[0].params.items()}
        velocity = dict(window.velocity)
        for item, labels in zip(window.steps, scene.given_labels, strict=True):
            leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
            loss = F.cross_entropy(
                logits_at(window.student, leaves, item.inputs), scene.teacher(item.inputs, labels).detach()
            )
            gradients = torch.autograd.grad(loss, tuple(leaves.values()))
            for name, gradient in zip(leaves, gradients, strict=True):
                velocity[name] = window.momentum * velocity[name] + gradient + window.weight_decay * params[name]
                params[name] = params[name] - window.lr * velocity[name]
        return F.cross_entropy(logits_at(window.student, params, window.clean_inputs), window.clean_labels).item()

    differences = []
    for place in range(len(teacher_values)):
        offset = torch.zeros_like(teacher_values)
        offset[place] = step
        differences.append((clean_loss(teacher_values + offset) - clean_loss(teacher_values - offset)) / (2 * step))
    torch.nn.utils.vector_to_parameters(teacher_values, scene.teacher.parameters())
    return torch.tensor(differences, dtype=torch.float64)


@pytest.mark.parametrize("student", [MLP, CNN])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 5e-4)])
def test_unrolled_is_the_derivative_of_replayed_training(student, momentum, weight_decay):
    scene = make_scene(student(), k=3, lr=0.1, momentum=momentum, weight_decay=weight_decay)
    assert relative_error(exact(scene), finite_difference_of_everything(scene)) < 1e-6


@pytest.mark.parametrize("student", [MLP, CNN])
@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 5e-4)])
@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_exact(student, momentum, weight_decay, seed):
    scene = make_scene(student(), k=1, lr=0.1, momentum=momentum, weight_decay=weight_decay, seed=seed)
    assert relative_error(fpmg_of(scene), exact(scene)) < 1e-9


def mixed_hessian_formula(scene: Scene) -> torch.Tensor:
    """Equation 8 (hence 11) term by term: -eta g^T sum gamma^(t-tau) H_wa, each H an explicit Jacobian matrix."""
    window = scene.window
    feedback = torch.cat([value.flatten() for value in window.feedback.values()])
    total = torch.zeros(())
    for age, item in enumerate(reversed(window.steps)):
        point = {name: value.detach().requires_grad_() for name, value in item.params.items()}
        log_p = F.log_softmax(logits_at(window.student, point, item.inputs), dim=1)
        loss = -(item.soft_targets * log_p).sum(dim=1).mean()
        gradient = torch.autograd.grad(loss, tuple(point.values()), create_graph=True)
        flat = torch.cat([value.flatten() for value in gradient])
        hessian = torch.stack([scene.teacher_gradient(entry) for entry in flat])
        total = total - window.lr * (1 - window.lr) ** age * (feedback @ hessian)
    return total


@pytest.mark.parametrize("student", [MLP, CNN])
def test_five_steps_equal_equation_11_by_explicit_mixed_hessians(student):
    scene = make_scene(student(), k=5, lr=0.1)
    assert relative_error(fpmg_of(scene), mixed_hessian_formula(scene)) < 1e-9


def test_swapping_two_chunks_breaks_equation_11():
    scene = make_scene(CNN(), k=5, lr=0.1)
    targets = [step.soft_targets for step in scene.window.steps]
    targets[0], targets[4] = targets[4], targets[0]
    assert relative_error(fpmg_of(scene, soft_targets=targets), mixed_hessian_formula(scene)) > 0.05


def test_fpmg_names_the_same_thing_as_fpmg_loss():
    scene = make_scene(CNN(), k=5, lr=0.1)
    by_name = scene.teacher_gradient(surrogate_loss(META_GRADIENTS["fpmg"](scene.window), scene.soft_targets))
    assert relative_error(by_name, fpmg_of(scene)) < 1e-12


def test_discount_one_adds_the_steps_up():
    scene = make_scene(MLP(), k=2, lr=0.1)
    single = [
        fpmg_of(
            scene,
            snapshots=[step.params],
            noisy_inputs=[step.inputs],
            soft_targets=[step.soft_targets],
        )
        for step in scene.window.steps
    ]
    assert relative_error(fpmg_of(scene, discount=1.0), single[0] + single[1]) < 1e-12
    assert relative_error(fpmg_of(scene), 0.9 * single[0] + single[1]) < 1e-12


def test_released_code_is_reversed_and_divided_by_k():
    scene = make_scene(MLP(), k=5, lr=0.1)
    released = scene.teacher_gradient(surrogate_loss(META_GRADIENTS["fpmg-released"](scene.window), scene.soft_targets))
    targets = [step.soft_targets for step in scene.window.steps]
    assert relative_error(released, fpmg_of(scene, soft_targets=targets[::-1]) / 5) < 1e-12


def test_lengths_must_agree():
    scene = make_scene(MLP(), k=2, lr=0.1)
    with pytest.raises(ValueError, match="shorter"):
        fpmg_of(scene, noisy_inputs=[scene.window.steps[0].inputs])


@pytest.mark.parametrize("student", [MLP, CNN])
def test_feedback_is_the_plain_gradient_at_the_new_weights(student):
    scene = make_scene(student(), k=1, lr=0.1)
    window = scene.window
    gradient = feedback_gradient(scene.student, window.final, window.clean_inputs, window.clean_labels)
    loss = F.cross_entropy(scene.student(window.clean_inputs), window.clean_labels)  # its own weights are `final`
    for name, expected in zip(gradient, torch.autograd.grad(loss, tuple(scene.student.parameters())), strict=True):
        torch.testing.assert_close(gradient[name], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", sorted(META_GRADIENTS))
def test_no_meta_gradient_touches_weights_or_running_statistics(name):
    scene = make_scene(CNN(), k=2, lr=0.1)
    before = {key: value.clone() for key, value in scene.student.state_dict().items()}
    META_GRADIENTS[name](scene.window)
    for key, value in scene.student.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_one_step_finite_difference_and_mlc_agree_with_fpmg():
    scene = make_scene(MLP(), k=1, lr=0.1, momentum=0.9, weight_decay=5e-4)
    for name, tolerance in [("finite-difference", 1e-6), ("mlc", 1e-12), ("fpmg-momentum", 1e-12)]:
        gradient = scene.teacher_gradient(surrogate_loss(META_GRADIENTS[name](scene.window), scene.soft_targets))
        assert relative_error(gradient, exact(scene)) < tolerance, name
