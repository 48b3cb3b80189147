"""EMLC's step against Algorithm 1, Algorithm 2 and equation 12 written out slowly, in float64."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from emlc.engine.contract import Batch, Stream, Training
from emlc.metagrad import META_GRADIENTS
from emlc.method import EMLC, METHOD, Options
from emlc.models import build_model
from emlc.records.errors import SuiteError
from pipelines.profile.load import checked
from pipelines.workflow.steps import Steps
from tests.settings import make_setting
from tests.tiny import tiny_profile

CLASSES, NOISY, CLEAN = 4, 4, 7
TRAINING = Training(epochs=4, batch_size=NOISY, lr=0.2, momentum=0.9, weight_decay=0.05, milestones=(1,), decay=0.5)
LR, TEACHER_LR = 0.1, 0.15  # in epoch 1


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(role: str) -> nn.Module:
    generator = torch.Generator().manual_seed({"student": 1, "teacher": 2}[role])
    return build_model("cnn-small", CLASSES, 1, generator, width=2)


def make_method(**options) -> EMLC:
    setting = make_setting(build, TRAINING, CLASSES, torch.zeros(20, dtype=torch.int64))
    method = EMLC(setting, Options(**{"teacher_lr": 2 * TEACHER_LR} | options))
    method.begin_epoch(1)
    return method


def make_batch(seed: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 1, 8, 8, generator=generator)
    return Batch((inputs,), torch.randint(CLASSES, (size,), generator=generator), torch.arange(size))


class Reference:
    """The same networks, trained by formulas. Each term of equation 12 is there or not, with a weight of its own."""

    def __init__(self, method: EMLC) -> None:
        self.k = method.options.look_ahead
        self.student, self.teacher = copy.deepcopy(method.student), copy.deepcopy(method.teacher)
        self.velocity = {name: torch.zeros_like(value) for name, value in self.student.named_parameters()}
        self.generator = torch.Generator().manual_seed(4)
        self.given: list[list[int]] = []

    def step(
        self, noisy: Batch, clean: Batch, corrupt="adversarial", meta="paper", weights=(1, 1, 1), clean_seen=False
    ) -> None:
        soft, prediction, retain, given = self.teach(noisy, clean, corrupt)
        first, velocity = self.weights(), dict(self.velocity)
        snapshots = self.learn(noisy, soft)
        if clean_seen:
            self.student(clean.inputs)
        terms = (
            lambda: -prediction.log_softmax(1)[torch.arange(CLEAN), clean.labels].mean(),
            lambda: binary_cross_entropy(retain, [float(a == b) for a, b in zip(given, clean.labels, strict=True)]),
            lambda: self.meta(meta, noisy, clean, soft, snapshots, (first, velocity)),
        )
        loss = sum(weight * term() for weight, term in zip(weights, terms, strict=True) if weight)
        parameters = tuple(self.teacher.parameters())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for value, gradient in zip(parameters, gradients, strict=True):
                value -= 0 if gradient is None else TEACHER_LR * gradient

    def teach(self, noisy: Batch, clean: Batch, corrupt: str) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        """Figure 3: h, y^ = classifier(h), w = sigmoid(MLP([h ; z])), q = w onehot + (1 - w) softmax(y^)."""
        backbone, gate = self.teacher.backbone, self.teacher.gate
        features = backbone.features(torch.cat([noisy.inputs, clean.inputs]))
        prediction = features @ backbone.classifier.weight.T + backbone.classifier.bias
        given = self.corrupted(clean.labels.tolist(), prediction[len(noisy.labels) :].tolist(), corrupt)
        self.given.append(given)
        labels = noisy.labels.tolist() + given
        rows = []
        for row, label in enumerate(labels):
            joint = torch.cat([features[row], gate.embedding.weight[label]])
            rows.append(gate.output.weight[0] @ torch.relu(gate.hidden.weight @ joint + gate.hidden.bias))
        retain = torch.sigmoid(torch.stack(rows) + gate.output.bias)
        onehot = torch.eye(CLASSES)[labels]
        soft = retain[:, None] * onehot + (1 - retain[:, None]) * prediction.softmax(1)
        return soft[: len(noisy.labels)], prediction[len(noisy.labels) :], retain[len(noisy.labels) :], given

    def corrupted(self, labels: list[int], prediction: list[list[float]], corrupt: str) -> list[int]:
        """Section 3.6: the strongest incorrect class, or a uniform one, for every second sample."""
        drawn = torch.randint(CLASSES, (len(labels),), generator=self.generator).tolist() if corrupt == "random" else []
        given = list(labels)
        for sample in range(0, len(labels), 2):
            if corrupt == "random":
                given[sample] = drawn[sample]
            if corrupt == "adversarial":
                wrong = [label for label in range(CLASSES) if label != labels[sample]]
                given[sample] = max(wrong, key=lambda label: prediction[sample][label])
        return given

    def learn(self, noisy: Batch, soft: Tensor) -> list[dict[str, Tensor]]:
        """Algorithm 1, line 4, k times: v <- mu v + g + wd w; w <- w - lr v. Returns w(t-k+1) .. w(t)."""
        snapshots = []
        for step in range(self.k):
            snapshots.append(self.weights())
            part = slice(step * NOISY, (step + 1) * NOISY)
            log_p = self.student(noisy.inputs[part]).log_softmax(1)
            loss = -(soft[part].detach() * log_p).sum(1).mean()
            gradients = torch.autograd.grad(loss, tuple(self.student.parameters()))
            for (name, value), gradient in zip(self.student.named_parameters(), gradients, strict=True):
                self.velocity[name] = 0.9 * self.velocity[name] + gradient + 0.05 * value.detach()
                value.data -= LR * self.velocity[name]
        return snapshots

    def meta(self, kind: str, noisy: Batch, clean: Batch, soft: Tensor, snapshots, start) -> Tensor:
        if kind == "unrolled":
            return self.unrolled(noisy, clean, soft, *start)
        order = list(range(self.k))
        return self.equation_8(noisy, clean, soft, snapshots, order if kind == "paper" else order[::-1])

    def equation_8(self, noisy: Batch, clean: Batch, soft: Tensor, snapshots, order: list[int]) -> Tensor:
        """-eta g_w^T sum_tau gamma^(t-tau) H_wa(tau) as the derivative of a scalar by the teacher.

        In the released code, step `order[tau]` gets the products of step tau, and the sum is divided by k.
        """
        final = {name: value.detach().clone().requires_grad_() for name, value in self.student.named_parameters()}
        loss = -self.log_p(final, clean.inputs)[torch.arange(CLEAN), clean.labels].mean()
        feedback = torch.autograd.grad(loss, tuple(final.values()))
        total = torch.zeros(())
        for tau, params in enumerate(snapshots):
            point = {name: value.clone().requires_grad_() for name, value in params.items()}
            log_p = self.log_p(point, noisy.inputs[tau * NOISY : (tau + 1) * NOISY])
            targets = soft[order[tau] * NOISY : (order[tau] + 1) * NOISY]
            gradients = torch.autograd.grad(-(targets * log_p).sum(1).mean(), tuple(point.values()), create_graph=True)
            product = sum((g * v).sum() for g, v in zip(gradients, feedback, strict=True))
            total = total - LR * (1 - LR) ** (self.k - 1 - tau) * product
        return total if order[0] == 0 else total / self.k

    def unrolled(self, noisy: Batch, clean: Batch, soft: Tensor, params, velocity) -> Tensor:
        """The clean loss as a function of the teacher, through the real optimiser step(s): no formula at all."""
        params = {name: value.clone().requires_grad_() for name, value in params.items()}
        for step in range(self.k):
            part = slice(step * NOISY, (step + 1) * NOISY)
            loss = -(soft[part] * self.log_p(params, noisy.inputs[part])).sum(1).mean()
            gradients = torch.autograd.grad(loss, tuple(params.values()), create_graph=True)
            velocity = {
                name: 0.9 * velocity[name] + gradient + 0.05 * params[name]
                for name, gradient in zip(params, gradients, strict=True)
            }
            params = {name: value - LR * velocity[name] for name, value in params.items()}
        return -self.log_p(params, clean.inputs)[torch.arange(CLEAN), clean.labels].mean()

    def log_p(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        buffers = {name: value.clone() for name, value in self.student.named_buffers()}
        return functional_call(self.student, {**params, **buffers}, (inputs,)).log_softmax(1)

    def weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.student.named_parameters()}


def binary_cross_entropy(retain: Tensor, truths: list[float]) -> Tensor:
    terms = [t * torch.log(r) + (1 - t) * torch.log(1 - r) for r, t in zip(retain, truths, strict=True)]
    return -torch.stack(terms).mean()


def both_trained(steps: int = 2, options=None, **reference) -> tuple[EMLC, Reference]:
    method = make_method(**(options or {}))
    slow = Reference(method)
    for seed in range(steps):
        noisy, clean = make_batch(seed, NOISY * method.options.look_ahead), make_batch(100 + seed, CLEAN)
        slow.step(noisy, clean, **reference)
        method.learn(noisy, clean)
    return method, slow


def assert_equal(method: EMLC, slow: Reference) -> None:
    """Weights and running statistics of student, teacher backbone and gate."""
    for fast, reference in ((method.student, slow.student), (method.teacher, slow.teacher)):
        torch.testing.assert_close(dict(fast.state_dict()), dict(reference.state_dict()), rtol=1e-9, atol=1e-11)


def distance(method: EMLC, slow: Reference) -> float:
    pairs = zip(method.teacher.parameters(), slow.teacher.parameters(), strict=True)
    return max(float((one - other).detach().abs().max()) for one, other in pairs)


def test_k_1_is_algorithm_1_with_the_exact_meta_gradient():
    assert_equal(*both_trained(meta="unrolled"))


def test_k_5_is_algorithm_1_with_equation_8():
    assert_equal(*both_trained(options={"look_ahead": 5}, meta="paper"))


def test_k_5_is_an_approximation():
    """So the test above cannot have passed by comparing two things that hardly depend on the meta-gradient."""
    assert distance(*both_trained(options={"look_ahead": 5}, meta="unrolled")) > 1e-4


def test_the_exact_meta_gradient_by_name():
    assert_equal(*both_trained(options={"look_ahead": 3, "meta_gradient": "unrolled"}, meta="unrolled"))


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("weights", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (0, 0, 1), (2, 0.5, 3)])
def test_each_weight_of_equation_12_scales_its_own_term(k, weights):
    names = dict(zip(("ce_weight", "bce_weight", "meta_weight"), weights, strict=True))
    method, slow = both_trained(options={"look_ahead": k, **names}, weights=weights)
    assert_equal(method, slow)


@pytest.mark.parametrize("missing", range(3))
def test_no_term_of_equation_12_is_idle(missing):
    weights = [1, 1, 1]
    weights[missing] = 0
    assert distance(*both_trained(options={"look_ahead": 5}, weights=weights)) > 1e-5


def test_the_gate_learns_from_the_meta_gradient_alone():
    method = make_method(ce_weight=0.0, bce_weight=0.0)
    before = copy.deepcopy(method.teacher.state_dict())
    method.learn(make_batch(0, NOISY), make_batch(1, CLEAN))
    for name, value in method.teacher.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_random_corruption_may_hit_the_truth_which_then_counts_as_clean():
    method, slow = both_trained(steps=3, options={"corruption": "random"}, corrupt="random")
    assert_equal(method, slow)
    even = [
        (given, truth)
        for seed, labels in enumerate(slow.given)
        for given, truth in list(zip(labels, make_batch(100 + seed, CLEAN).labels.tolist(), strict=True))[::2]
    ]
    assert any(given == truth for given, truth in even)  # else this test would not show what it says
    assert any(given != truth for given, truth in even)


def test_metrics_by_hand():
    method = make_method()
    slow = Reference(method)
    noisy, clean = make_batch(0, NOISY), make_batch(1, CLEAN)
    soft, prediction, retain, given = copy.deepcopy(slow).teach(noisy, clean, "adversarial")
    student_loss = -(soft * copy.deepcopy(slow.student)(noisy.inputs).log_softmax(1)).sum(1).mean()
    metrics = method.learn(noisy, clean)
    objective = nn.functional.cross_entropy(method.student(clean.inputs), clean.labels)
    expected = {
        "student_loss": student_loss,
        "meta_objective": objective,
        "teacher_ce": nn.functional.cross_entropy(prediction, clean.labels),
        "teacher_bce": binary_cross_entropy(retain, [float(a == b) for a, b in zip(given, clean.labels, strict=True)]),
    }
    torch.testing.assert_close(metrics, {name: value.detach() for name, value in expected.items()})
    assert not any(value.requires_grad for value in metrics.values())


@pytest.mark.parametrize("k", [1, 5])
def test_clean_statistics_change_running_statistics_of_the_student_and_nothing_else(k):
    methods = [make_method(look_ahead=k, clean_statistics=flag) for flag in (False, True)]
    for seed in range(2):
        for method in methods:
            method.learn(make_batch(seed, NOISY * k), make_batch(100 + seed, CLEAN))
    without, with_clean = methods
    for module in ("student", "teacher"):
        state, other = getattr(without, module).state_dict(), getattr(with_clean, module).state_dict()
        for name, value in state.items():
            if module == "student" and ("running" in name or "num_batches" in name):
                assert not torch.equal(value, other[name]), name
            else:
                torch.testing.assert_close(value, other[name], rtol=1e-10, atol=1e-12)
    assert without.student.bn1.num_batches_tracked == 2 * k
    assert with_clean.student.bn1.num_batches_tracked == 2 * (k + 1)
    assert without.teacher.backbone.bn1.num_batches_tracked == 2


def released_options(**own) -> dict:
    method = {"label": "EMLC", "implementation": "emlc.method", "options": own}
    profile = checked(tiny_profile(protocol="released", methods={"emlc": method}))
    return Steps(profile).recipe("emlc", "digits")["options"]


def test_the_released_protocol_as_the_config_has_it():
    assert released_options(look_ahead=5) == {
        "look_ahead": 5,
        "meta_gradient": "fpmg-released",
        "corruption": "none",
        "bce_weight": 0,
        "clean_statistics": True,
    }
    assert released_options(bce_weight=1.0, corruption="random")["bce_weight"] == 1.0


@pytest.mark.parametrize(("k", "meta"), [(1, "unrolled"), (5, "released")])
def test_a_released_step_is_what_the_public_code_does(k, meta):
    """No BCE, no corruption; k = 5: reversed products, divided by k. The clean batch moves the running statistics."""
    options = released_options(look_ahead=k)
    assert_equal(*both_trained(options=options, corrupt="none", weights=(1, 0, 1), meta=meta, clean_seen=True))


def test_both_learning_rates_decay_alike():
    method = make_method(teacher_lr=0.3)
    for epoch, factor in [(0, 1.0), (1, 0.5), (3, 0.5)]:
        method.student.eval(), method.teacher.eval()
        method.begin_epoch(epoch)
        assert method.optimiser.param_groups[0]["lr"] == pytest.approx(0.2 * factor)
        assert method.teacher_optimiser.param_groups[0]["lr"] == pytest.approx(0.3 * factor)
        assert method.student.training
        assert method.teacher.training


def test_the_reported_model_is_the_student():
    method = make_method()
    batch = make_batch(0, NOISY)
    torch.testing.assert_close(method.logits(batch.inputs), method.student(batch.inputs))


def gradients_of(**weights) -> dict[str, Tensor]:
    """The teacher's gradient in its very first step, part by part, with some losses off."""
    method = make_method(**{"look_ahead": 2, "meta_weight": 0.3} | weights)
    method.learn(make_batch(0, 2 * NOISY), make_batch(1, CLEAN))
    return {name: torch.cat([value.grad.flatten() for value in part]) for name, part in method.teacher.parts()}


def test_parity_gives_the_meta_gradient_the_length_of_the_supervised_one_in_each_part():
    supervised, meta = gradients_of(meta_weight=0.0), gradients_of(ce_weight=0.0, bce_weight=0.0)
    both = gradients_of(meta_scale="parity")
    for part in ("body", "gate"):
        assert supervised[part].norm() > 2 * meta[part].norm() > 0
        expected = supervised[part] + meta[part] * supervised[part].norm() / meta[part].norm()
        torch.testing.assert_close(both[part], expected, rtol=1e-9, atol=0)


def test_parity_without_one_of_the_two_is_the_other():
    for off in ({"meta_weight": 0.0}, {"ce_weight": 0.0, "bce_weight": 0.0}):
        torch.testing.assert_close(gradients_of(meta_scale="parity", **off), gradients_of(**off))


def test_a_teacher_on_the_student_s_features_leaves_the_student_alone():
    method = make_method(features="student")
    names = [name for name, _ in method.teacher.named_parameters()]
    assert names[:2] == ["backbone.classifier.weight", "backbone.classifier.bias"]
    assert all(name.startswith("gate.") for name in names[2:])
    before, inputs = copy.deepcopy(method.student.state_dict()), make_batch(0, NOISY).inputs
    features, prediction = method.teacher.encode(inputs)
    torch.testing.assert_close(dict(method.student.state_dict()), dict(before), rtol=0, atol=0)
    assert not features.requires_grad
    torch.testing.assert_close(features, copy.deepcopy(method.student).features(inputs).detach())
    head = method.teacher.backbone.classifier
    torch.testing.assert_close(prediction, features @ head.weight.T + head.bias)


@pytest.mark.parametrize("options", [{"gate": "none"}, {"gate": "features"}, {"features": "student"}], ids=str)
def test_teachers_without_a_part_learn_and_are_seen_by_their_student(options):
    method = make_method(meta_scale="parity", **options)
    before = copy.deepcopy(dict(method.teacher.state_dict()))
    for seed in range(2):
        losses = method.learn(make_batch(seed, NOISY), make_batch(100 + seed, CLEAN))
        assert all(torch.isfinite(value) for value in losses.values())
    moved = [name for name, value in method.teacher.named_parameters() if not torch.equal(value, before[name])]
    assert {name.split(".")[0] for name in moved} == (
        {"backbone"} if options == {"gate": "none"} else {"backbone", "gate"}
    )


def test_corrected_labels_are_the_soft_targets():
    method, batch = make_method(), make_batch(0, NOISY)
    method.teacher.eval()
    expected = method.teacher(batch.inputs, batch.labels).soft_targets
    torch.testing.assert_close(method.corrected_labels(batch.inputs, batch.labels), expected)


def test_the_defaults_are_the_paper_s():
    assert METHOD is EMLC
    assert dataclasses.asdict(Options()) == {
        "look_ahead": 1,
        "meta_gradient": "fpmg",
        "forward": "taped",
        "corruption": "adversarial",
        "teacher_lr": 0.02,
        "ce_weight": 1.0,
        "bce_weight": 1.0,
        "meta_weight": 1.0,
        "meta_scale": "paper",
        "clean_statistics": False,
        "gate": "label",
        "features": "own",
    }
    method = make_method()
    assert (type(method.clean), method.clean.views) == (Stream, ("auto",))
    group = method.teacher_optimiser.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0, 0)


@pytest.mark.parametrize("name", sorted(META_GRADIENTS))
def test_every_meta_gradient_has_a_name_that_works(name):
    method = make_method(meta_gradient=name, look_ahead=2)
    assert all(torch.isfinite(value) for value in method.learn(make_batch(0, 2 * NOISY), make_batch(1, CLEAN)).values())


@pytest.mark.parametrize("k", [1, 3])
def test_recomputing_the_forward_pass_changes_nothing(k):
    methods = [make_method(look_ahead=k, forward=forward) for forward in ("taped", "recomputed")]
    for method in methods:
        for seed in range(3):
            method.learn(make_batch(seed, k * NOISY), make_batch(100 + seed, CLEAN))
    for taped, recomputed in zip(*(method.teacher.parameters() for method in methods), strict=True):
        torch.testing.assert_close(taped, recomputed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forward": "tape"}, "unknown forward 'tape'; known: recomputed, taped"),
        ({"meta_gradient": "exact"}, "unknown meta_gradient 'exact'; known: finite-difference, fpmg, "),
        ({"corruption": "adverserial"}, "unknown corruption 'adverserial'; known: adversarial, none, random"),
        ({"look_ahead": 0}, "look_ahead is 0; it counts student steps and must be at least 1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(SuiteError, match=message):
        Options(**options)
