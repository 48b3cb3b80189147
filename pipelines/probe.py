"""Train one run once more under observation: corrected labels, the gate, gradients, embeddings."""

from pathlib import Path

from emlc.records.store import Order
from pipelines.evidence.probes import ARRAYS, PROBE, Probe, save_probe
from pipelines.machine.devices import open_device, use_reproducible_kernels
from pipelines.machine.work import work


def observe(order: Order) -> Probe:
    """Train a run as :mod:`pipelines.train` does, watching.

    Raises
    ------
    SuiteError
        As :func:`pipelines.training.runs.opened` does; or if the run diverges or its method corrects no labels.
    """
    from emlc.engine.loop import train
    from emlc.engine.run import build_method, build_scored
    from emlc.models.precision import matrix_products
    from pipelines.evidence.observation import Observer
    from pipelines.training.runs import opened

    arrays, _, task, recipe = opened(order)
    device = open_device(order.identity["device"], order.identity["threads"])
    with matrix_products(recipe.training.precision):
        method = build_method(recipe, task, arrays, device)
        scored = build_scored(recipe, task, arrays, device)
        observer = Observer(scored.test, task.true_labels)
        history = train(method, scored, recipe.training.epochs, keeper=observer)
        values = {
            "soft_labels": observer.corrected(method),
            "retained": observer.retained(method),
            "embeddings": observer.embeddings(method),
        }
    found = {name: value.float().cpu().numpy() for name, value in values.items()}
    labels = {"noisy_labels": task.noisy_labels, "true_labels": task.true_labels, "test_labels": arrays.test_labels}
    return Probe(history.epochs, observer.epochs, {name: (found | labels)[name] for name in ARRAYS})


def make(order: Order, folder: Path) -> None:
    """Make a probe."""
    use_reproducible_kernels()
    save_probe(folder / PROBE, observe(order))


if __name__ == "__main__":
    work("pipelines.probe", __doc__, "probes", make)
