"""Which runs a profile asks for: those of its tables, figures and ablations."""

from collections.abc import Iterable
from typing import NamedTuple

from pipelines.profile.model import Profile, Where


class Run(NamedTuple):
    """One run of a profile, as the profile names it."""

    method: str
    dataset: str
    noise: str
    rate: float
    seed: int


def table_runs(profile: Profile, name: str) -> list[Run]:
    """Return every run of a table: methods x columns x seeds."""
    table = profile.tables[name]
    return [
        Run(method, column.dataset, column.noise, column.rate, seed)
        for column in table.columns
        for method in table.methods or tuple(profile.methods)
        for seed in profile.seeds_of(name)
    ]


def figure_runs(profile: Profile, name: str) -> list[Run]:
    """Return the runs that a figure shows."""
    figure = profile.figures[name]
    return runs_at(figure.column, figure.methods, figure.seeds)


def ablation_runs(profile: Profile) -> list[Run]:
    """Return the runs of the ablations."""
    ablations = profile.ablations
    return runs_at(ablations.column, ablation_methods(profile), ablations.seeds) if ablations else []


def ablation_methods(profile: Profile) -> list[str]:
    """Return every method and variant of the ablations, each once."""
    questions = profile.ablations.questions if profile.ablations else ()
    return list(dict.fromkeys(name for q in questions for name in (q.reference, *q.variants)))


def gradient_runs(profile: Profile) -> list[Run]:
    """Return the probed runs that tell how large the teacher's gradients are."""
    ablations = profile.ablations
    return runs_at(ablations.column, ablations.gradients, ablations.gradient_seeds) if ablations else []


def probed_runs(profile: Profile) -> list[Run]:
    """Return the runs that are trained once more under observation."""
    figures = [name for name in ("fig1", "fig3", "fig4") if name in profile.figures]
    return [*(run for name in figures for run in figure_runs(profile, name)), *gradient_runs(profile)]


def all_runs(profile: Profile) -> list[Run]:
    """Return every run of the profile, those of tables first, each once."""
    tables = (run for name in profile.tables for run in table_runs(profile, name))
    drawn = figure_runs(profile, "fig5") if "fig5" in profile.figures else []
    return list(dict.fromkeys([*tables, *drawn, *ablation_runs(profile)]))


def runs_at(where: Where, methods: Iterable[str], seeds: Iterable[int]) -> list[Run]:
    """Return methods x seeds in one column."""
    seeds = tuple(seeds)
    return [Run(method, where.dataset, where.noise, where.rate, seed) for method in methods for seed in seeds]
