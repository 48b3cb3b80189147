"""Profiles: what is refused and by which name, what later files change, and what a run is made of."""

import copy
import json
import re

import pytest
import yaml

from emlc.records.errors import SuiteError
from pipelines.evidence.plots import STYLES
from pipelines.profile.load import load_settings, validated
from pipelines.profile.settings import (
    DEFAULT_PROFILE,
    ROOT,
    Run,
    dataset_options,
    initialisation,
    method_settings,
    protocol,
    run_spec,
    runs,
    seed_chunks,
    split_of,
    task_spec,
)
from tests.tiny import tiny_profile, write_yaml


@pytest.fixture
def over(tmp_path):
    """Load the default profile with a second file over it."""

    def load(text):
        (tmp_path / "over.yaml").write_text(text)
        return load_settings([DEFAULT_PROFILE, tmp_path / "over.yaml"])

    return load


def column(**changes):
    return yaml.safe_dump({"columns": [{"dataset": "digits", "noise": "sym", "rate": 0.5} | changes]})


BAD = {
    "profile: Upper Case": r"config key profile: 'Upper Case' does not match",
    "profile: ../elsewhere": r"config key profile: '../elsewhere' does not match",
    "profile: 2024-12-01": r"config key profile: .* is not of type 'string'",
    "protocol: papers": r"config key protocol: 'papers' is not one of \['paper', 'released'\]",
    "selection: best": r"config key selection: 'best' is not one of",
    "device: gpu": r"config key device: 'gpu' is not one of",
    "threads: 0": r"config key threads: 0 is less than the minimum of 1",
    "seeds: []": r"config key seeds: \[\] should be non-empty",
    "seeds: [0, 0]": r"config key seeds: \[0, 0\] has non-unique elements",
    "seeds: [-1]": r"config key seeds\.0: -1 is less than the minimum of 0",
    "seeds_per_job: 0": r"config key seeds_per_job: 0 is less than the minimum of 1",
    "seeds: 3": r"config key seeds: 3 is not of type 'array'",
    column(rate=1.5): r"config key columns\.0\.rate: 1\.5 is greater than the maximum of 1",
    column(rate=-0.1): r"config key columns\.0\.rate: -0\.1 is less than the minimum of 0",
    column(rate="half"): r"config key columns\.0\.rate: 'half' is not of type 'number'",
    column(noise="symmetric"): r"config key columns\.0\.noise: 'symmetric' is not one of \['sym', ",
    column(dataset="emnist"): r"config key columns\.0\.dataset: unknown dataset 'emnist'; known: digits",
    column(sampling="exact"): r"config key columns\.0\.sampling: 'exact' is not one of",
    column(noise="human-worst"): r"config key columns\.0\.noise: human-worst needs .* datasets\.digits\.human_labels",
    "datasets: {digits: {human_labels: x.pt}}": r"config key datasets\.digits\.human_labels: 'x\.pt' does not match",
    "datasets: {digits: {human_labels: x.dvc}}\n" + column(noise="human-worst", sampling="per-label"): (
        r"config key columns\.0\.sampling: human labels are given"
    ),
    "table: {name: ../table, title: T}": r"config key table\.name: '\.\./table' does not match",
    "table: {name: table9}": r"config key table: 'title' is a required property",
    column(rat=0.5): r"config key columns\.0: .*'rat' was unexpected",
    "columns: [{dataset: digits, noise: sym}]": r"config key columns\.0: 'rate' is a required property",
    "columns: []": r"config key columns: \[\] should be non-empty",
    "datasets: {digits: {kind: mnist}}": r"config key datasets\.digits\.kind: 'mnist' is not one of",
    "datasets: {digits: {clean_per_class: 0}}": r"config key datasets\.digits\.clean_per_class: 0 is less than",
    "datasets: {digits: {model: cnn-small}}": r"config key datasets\.digits\.model: 'cnn-small' is not of type",
    "datasets: {Digits: {}}": r"config key datasets.*Digits",
    "datasets: {digits: {crop: 1}}": r"config key datasets\.digits: .*'crop' was unexpected",
    "training: {lrr: 1}": r"config key training: .*'lrr' was unexpected",
    "training: {lr: 0}": r"config key training\.lr: 0 is less than or equal to the minimum of 0",
    "training: {lr: 5e-2}": r"config key training\.lr: '5e-2' is not of type 'number'",  # YAML 1.1 wants 5.0e-2
    "training: {precision: half}": r"config key training\.precision: 'half' is not one of \['float32',",
    "training: {momentum: 1}": r"config key training\.momentum: 1 is greater than or equal to the maximum of 1",
    "training: {epochs: 0}": r"config key training\.epochs: 0 is less than the minimum of 1",
    "methods: {mlc: {training: {lr: fast}}}": r"config key methods\.mlc\.training\.lr: 'fast' is not of type 'number'",
    "methods: {mlc: {option: {}}}": r"config key methods\.mlc: .*'option' was unexpected",
    "methods: {new: {label: New}}": r"config key methods\.new: 'implementation' is a required property",
    "methods: {mlc: {implementation: os.path}}": r"config key methods\.mlc\.implementation: 'os\.path' does not match",
    "methods: {mlc: {label: 'M|C'}}": r"config key methods\.mlc\.label: 'M\|C' does not match",
    "figures: {fig5: {methods: [mlc, mlnt, mslc, fasten, emlc-k1, emlc-k5]}}": (
        r"config key figures\.fig5\.methods: \['mlc', .*, 'emlc-k5'\] is too long"
    ),
    "methods: null": r"config key methods: None is not of type 'object'",
    "epochs: 3": r"config key the profile: .*'epochs' was unexpected",
    "1: x": r"config key the profile: .*1 was unexpected",
}


@pytest.mark.parametrize("text", BAD, ids=[text.strip().replace("\n", " ") for text in BAD])
def test_a_bad_key_is_named_in_one_line(over, text):
    with pytest.raises(SuiteError, match=BAD[text]) as caught:
        over(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["profile", "seeds", "columns", "training", "methods", "datasets", "protocol"])
def test_a_missing_key_is_named(key):
    profile = tiny_profile()
    del profile[key]
    with pytest.raises(SuiteError, match=f"config key the profile: '{key}' is a required property"):
        validated(profile)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"over\.yaml is no mapping of keys to values; the files in config/ are examples"),
        (b"- 1", r"over\.yaml is no mapping of keys to values; the files in config/ are examples"),
        (b"text", r"over\.yaml is no mapping of keys to values; the files in config/ are examples"),
        (b"a: [", r"over\.yaml is not valid YAML: while parsing"),
        (b"a: 1\n b: 2", r"over\.yaml is not valid YAML: .* line 2"),
        (b"a: !!python/object:os.system x", r"over\.yaml is not valid YAML: could not determine a constructor"),
        (b"a: \x00", r"over\.yaml is not valid YAML: unacceptable character"),
        (b"a: \xff", r"over\.yaml is not valid YAML"),
        (b"[" * 1500, r"over\.yaml is not valid YAML"),
        (b"profile: 2024-13-45", r"over\.yaml is not valid YAML: month must be in 1\.\.12"),
    ],
)
def test_what_is_no_profile_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "over.yaml"
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=message) as caught:
        load_settings([DEFAULT_PROFILE, path])
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*none\.yaml: No such file"):
        load_settings([tmp_path / "none.yaml"])
    with pytest.raises(SuiteError, match=r"cannot read .*: Is a directory"):
        load_settings([tmp_path])


INTEGERS = {
    "seeds: [1.0]": r"seeds\.0: 1\.0 is not of type 'integer'",
    "threads: 1.0": r"threads: 1\.0 is not of type 'integer'",
    "threads: true": r"threads: True is not of type 'integer'",
    "training: {epochs: 15.0}": r"training\.epochs: 15\.0 is not of type 'integer'",
    "training: {batch_size: 28.0}": r"training\.batch_size: 28\.0 is not of type 'integer'",
}


@pytest.mark.parametrize("text", INTEGERS)
def test_whole_numbers_have_no_point(over, text):
    with pytest.raises(SuiteError, match=f"^config key {INTEGERS[text]}"):
        over(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("training: {lr: .nan}", "training.lr: nan"),
        ("training: {lr: .inf}", "training.lr: inf"),
        (column(rate=float("nan")), "columns.0.rate: nan"),
        ("methods: {mlc: {options: {teacher_lr: -.inf}}}", "methods.mlc.options.teacher_lr: -inf"),
        ("datasets: {digits: {options: {mean: [0.1, .nan]}}}", "datasets.digits.options.mean.1: nan"),
    ],
)
def test_numbers_are_finite(over, text, key):
    with pytest.raises(SuiteError, match=f"^config key {re.escape(key)} is not a finite number$"):
        over(text)


@pytest.mark.parametrize(
    "text", ["seeds: [1]\nseeds: [2]", "training: {lr: 0.1, lr: 0.1}", '{"seeds": [1], "seeds": [2]}']
)
def test_a_key_given_twice_is_refused(over, text):
    with pytest.raises(
        SuiteError, match=r"over\.yaml is not valid YAML: key '(seeds|lr)' is there twice .*line"
    ) as caught:
        over(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "seeds: &s [*s]",
        "columns: &c {a: [1, *c]}",
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcde", "bcdef", strict=True)
        ),
    ],
)
def test_aliases_that_never_end_are_refused(over, text):
    with pytest.raises(SuiteError, match=r"over\.yaml stands for more than 100,000 values"):
        over(text)


def test_a_merged_key_may_be_given_anew(over):
    text = "training: &base {lr: 0.1, momentum: 0.5}\nmethods: {mlc: {training: {<<: *base, lr: 0.2}}}"
    assert over(text)["methods"]["mlc"]["training"] == {"lr": 0.2, "momentum": 0.5}


def test_columns_that_differ_in_their_sampling_only_are_refused(over):
    one = {"dataset": "digits", "noise": "sym", "rate": 0.5}
    with pytest.raises(SuiteError, match=r"config key columns\.1"):
        over(yaml.safe_dump({"columns": [one, {**one, "sampling": "exact-count"}]}))


@pytest.mark.parametrize("label", ["EMLC (k=1)", "emlc (K = 1)"])
def test_two_methods_with_one_label_are_refused(over, label):
    with pytest.raises(SuiteError, match=r"config key methods\.emlc-k1\.label: the same name as methods\.mlc\.label"):
        over(f"methods: {{mlc: {{label: {label}}}}}")


def test_two_datasets_of_the_columns_with_one_title_are_refused():
    digits = tiny_profile()["datasets"]["digits"]
    columns = [{"dataset": name, "noise": "sym", "rate": 0.5} for name in ("digits", "again")]
    datasets = {"digits": digits, "again": digits}
    message = r"config key datasets\.again\.options\.title: the same name as datasets\.digits\.options\.title"
    with pytest.raises(SuiteError, match=message):
        validated(tiny_profile(datasets=datasets, columns=columns))
    titled = {"digits": digits, "again": {**digits, "options": {"title": "Again"}}}
    assert validated(tiny_profile(datasets=titled, columns=columns))["datasets"] == titled
    assert validated(tiny_profile(datasets=datasets))["datasets"] == datasets  # no column has the second one


def test_the_default_profile_is_valid_and_all_of_it_can_be_resolved():
    settings = load_settings([DEFAULT_PROFILE])
    for run in runs(settings):
        spec = run_spec(settings, run)
        assert json.loads(json.dumps(spec)) == spec
        task_spec(settings, run.dataset, run.noise, run.rate)
        dataset_options(settings, run.dataset)


def test_later_files_win_key_by_key_and_lists_are_replaced(over):
    before = load_settings([DEFAULT_PROFILE])
    after = over("""
seeds: [7]
training: {lr: 0.5, milestones: [3]}
datasets: {digits: {model: {width: 4}}}
methods:
  mlc: {options: {hidden: 9}}
  mine: {label: Mine, implementation: baselines.mine}
""")
    expected = copy.deepcopy(before)
    expected["seeds"] = [7]
    expected["training"] |= {"lr": 0.5, "milestones": [3]}
    expected["datasets"]["digits"]["model"]["width"] = 4
    expected["methods"]["mlc"].setdefault("options", {})["hidden"] = 9
    expected["methods"]["mine"] = {"label": "Mine", "implementation": "baselines.mine"}
    assert after == expected
    assert list(after["methods"]) == [*before["methods"], "mine"]  # the order of the table's rows


def test_three_files_and_json(tmp_path):
    for position, lr in enumerate([0.1, 0.2]):
        (tmp_path / f"{position}.json").write_text(json.dumps({"training": {"lr": lr}, "seeds": [position]}))
    first, second = (tmp_path / f"{position}.json" for position in range(2))
    assert load_settings([DEFAULT_PROFILE, first, second])["training"]["lr"] == 0.2
    assert load_settings([DEFAULT_PROFILE, second, first])["seeds"] == [0]


def test_a_mapping_over_a_scalar_and_back_replaces_it(over):
    with pytest.raises(SuiteError, match=r"config key training: 3 is not of type 'object'"):
        over("training: 3")
    with pytest.raises(SuiteError, match=r"config key seeds: {'a': 1} is not of type 'array'"):
        over("seeds: {a: 1}")


def test_settings_survive_a_file(tmp_path):
    settings = load_settings([DEFAULT_PROFILE])
    assert load_settings([write_yaml(tmp_path / "copy.yaml", settings)]) == settings


def test_runs_are_methods_by_columns_by_seeds():
    columns = [{"dataset": "digits", "noise": noise, "rate": 0.4} for noise in ("sym", "asym")]
    settings = validated(tiny_profile(columns=columns, seeds=[3, 1]))
    assert [run.folder for run in runs(settings)] == [
        f"digits/{noise}-0.4/{method}/seed{seed}"
        for noise in ("sym", "asym")
        for method in ("cross-entropy", "emlc-k5")
        for seed in (3, 1)
    ]


@pytest.mark.parametrize(
    ("size", "chunks"), [(None, [[4], [0], [7]]), (1, [[4], [0], [7]]), (2, [[4, 0], [7]]), (5, [[4, 0, 7]])]
)
def test_seeds_are_trained_in_chunks_in_the_profile_s_order(size, chunks):
    profile = tiny_profile(seeds=[4, 0, 7], seeds_per_job=size)
    if size is None:
        del profile["seeds_per_job"]
    assert seed_chunks(validated(profile)) == chunks


def test_a_run_is_resolved_from_defaults_protocol_method_and_dataset():
    methods = {
        "emlc": {
            "label": "EMLC",
            "implementation": "emlc.method",
            "options": {"look_ahead": 5, "bce_weight": 0.5},
            "training": {"lr": 0.3, "milestones": [1]},
        }
    }
    settings = validated(tiny_profile(protocol="released", methods=methods))
    spec = run_spec(settings, Run("emlc", "digits", "sym", 0.5, 0))
    assert spec["options"] == {
        "meta_gradient": "fpmg-released",
        "corruption": "none",
        "clean_statistics": True,
        "look_ahead": 5,
        "bce_weight": 0.5,  # the profile's own over the protocol's 0
    }
    assert spec["training"] == {**settings["training"], "lr": 0.3, "milestones": [1]}
    assert (spec["order"], spec["protocol"], spec["profile"]) == ("fixed", "released", "tiny")
    assert (spec["model"], spec["crop_padding"]) == ({"name": "cnn-small", "width": 4}, 1)
    assert (spec["padding"], spec["auto_augment"]) == ("zero", "cifar10")
    assert settings["training"]["lr"] == 0.05


def test_protocols_decide_split_and_order():
    for name, split, order in [("paper", "balanced", "reshuffled"), ("released", "released", "fixed")]:
        settings = validated(tiny_profile(protocol=name))
        assert task_spec(settings, "digits", "sym", 0.5)["split"] == split == protocol(settings)["split"]
        assert run_spec(settings, Run("cross-entropy", "digits", "sym", 0.5, 0))["order"] == order


def test_a_task_takes_its_sampling_from_its_column():
    columns = [
        {"dataset": "digits", "noise": "sym", "rate": 0.5, "sampling": "exact-count"},
        {"dataset": "digits", "noise": "sym", "rate": 0.2},
    ]
    settings = validated(tiny_profile(columns=columns))
    assert task_spec(settings, "digits", "sym", 0.5) == {
        "dataset": "digits",
        "noise": "sym",
        "rate": 0.5,
        "sampling": "exact-count",
        "split": "balanced",
        "clean_per_class": 3,
    }
    assert task_spec(settings, "digits", "sym", 0.2)["sampling"] == "per-label"
    assert task_spec(settings, "digits", "asym", 0.9)["sampling"] == "per-label"


def test_unknown_methods_and_datasets_are_named_with_the_known_ones():
    settings = validated(tiny_profile())
    message = r"unknown method 'mlc' in profile tiny; known: cross-entropy, emlc-k5"
    with pytest.raises(SuiteError, match=message):
        run_spec(settings, Run("mlc", "digits", "sym", 0.5, 0))
    for call in (
        lambda: run_spec(settings, Run("cross-entropy", "mnist", "sym", 0.5, 0)),
        lambda: task_spec(settings, "mnist", "sym", 0.5),
        lambda: dataset_options(settings, "mnist"),
    ):
        with pytest.raises(SuiteError, match="unknown dataset 'mnist' in profile tiny; known: digits"):
            call()


def test_dataset_options_are_the_kind_and_its_options():
    block = {"kind": "cifar10", "clean_per_class": 100, "crop_padding": 4, "model": {"name": "resnet34"}}
    datasets = {"digits": tiny_profile()["datasets"]["digits"], "c": {**block, "options": {"title": "C"}}}
    settings = validated(tiny_profile(datasets=datasets))
    assert dataset_options(settings, "c") == {"kind": "cifar10", "title": "C"}
    assert dataset_options(settings, "digits") == {"kind": "digits"}


def test_the_schema_and_the_code_know_the_same_names():
    """Names stand in two places, so that a profile can be checked without torch."""
    from emlc.data import KINDS as DATASETS
    from emlc.data.human import KINDS as HUMAN_KINDS
    from emlc.engine.streams import STREAMS
    from emlc.models.precision import PRECISIONS
    from emlc.noise.matrices import KINDS as NOISES
    from emlc.noise.matrices import SAMPLERS
    from emlc.records.record import SELECTIONS
    from emlc.tasks.splits import SPLITS

    content = json.loads((ROOT / "config" / "schema.json").read_text())
    schema, shared = content["properties"], content["$defs"]
    columns = schema["columns"]["items"]["properties"]
    assert schema["selection"]["enum"] == list(SELECTIONS)
    assert schema["datasets"]["additionalProperties"]["properties"]["kind"]["enum"] == list(DATASETS)
    assert shared["training"]["properties"]["precision"]["enum"] == list(PRECISIONS)
    assert shared["noise"]["enum"] == [*NOISES, *HUMAN_KINDS]
    variant = schema["variants"]["additionalProperties"]["properties"]
    assert (variant["split"]["enum"], variant["order"]["enum"]) == (list(SPLITS), list(STREAMS))
    assert sorted(columns["sampling"]["enum"]) == sorted(SAMPLERS)
    protocols = yaml.safe_load((ROOT / "config" / "protocols.yaml").read_text())
    assert schema["protocol"]["enum"] == list(protocols)
    for rules in protocols.values():
        assert rules["split"] in SPLITS
        assert rules["order"] in STREAMS


def test_every_option_of_profile_and_protocols_is_one_of_its_method():
    from emlc.engine.run import method_class, parse_options

    for name in ("paper", "released"):
        settings = validated({**load_settings([DEFAULT_PROFILE]), "protocol": name})
        for method in settings["methods"]:
            spec = run_spec(settings, Run(method, "digits", "sym", 0.5, 0))
            parse_options(method_class(spec["implementation"]).Options, spec["options"], spec["implementation"])
        for implementation, options in protocol(settings)["options"].items():
            parse_options(method_class(implementation).Options, options, implementation)


def test_what_the_workflow_writes_for_its_steps_is_read_back_equal(tmp_path):
    """JSON writes 0.00001 as 1e-05, which YAML 1.1 would take for a text."""
    profile = load_settings([DEFAULT_PROFILE])
    profile["training"] = {**profile["training"], "lr": 1e30, "weight_decay": 1e-05}
    (tmp_path / "settings.json").write_text(json.dumps(profile))
    assert load_settings([tmp_path / "settings.json"]) == profile


VARIANTS = {
    "longer": {"label": "Longer look-ahead", "of": "emlc-k5", "options": {"look_ahead": 10}, "training": {"lr": 0.5}},
    "overlapping": {"label": "Overlap", "of": "emlc-k5", "split": "released", "order": "fixed"},
    "simclr": {"label": "SimCLR", "of": "cross-entropy", "initialisation": "simclr"},
}


def test_a_variant_is_its_method_with_what_it_changes():
    profile = validated(tiny_profile(variants=VARIANTS))
    base = run_spec(profile, Run("emlc-k5", "digits", "sym", 0.5, 0))
    longer = run_spec(profile, Run("longer", "digits", "sym", 0.5, 0))
    assert longer == base | {
        "options": {**base["options"], "look_ahead": 10}, "training": {**base["training"], "lr": 0.5}
    }  # fmt: skip
    assert run_spec(profile, Run("overlapping", "digits", "sym", 0.5, 0)) == base | {"order": "fixed"}
    assert [split_of(profile, name) for name in ("overlapping", "longer", "emlc-k5")] == [
        "released", "balanced", "balanced"
    ]  # fmt: skip
    assert initialisation(profile, "simclr") == "simclr"
    assert method_settings(profile, "longer")["label"] == "Longer look-ahead"
    assert {run.method for run in runs(profile)} == {"cross-entropy", "emlc-k5"}  # no rows of the table


def test_a_task_of_another_split():
    profile = validated(tiny_profile())
    spec = task_spec(profile, "digits", "sym", 0.5)
    assert task_spec(profile, "digits", "sym", 0.5, "released") == spec | {"split": "released"}


@pytest.mark.parametrize(
    ("variants", "key", "message"),
    [
        (
            {"new": {"label": "x", "of": "mlc"}},
            "variants.new.of",
            "unknown method 'mlc'; known: cross-entropy, emlc-k5",
        ),
        ({"emlc-k5": {"label": "x", "of": "emlc-k5"}}, "variants.emlc-k5", "a method has this name"),
        ({"new": {"label": "x", "of": "emlc-k5", "split": "no"}}, "variants.new.split", "'no' is not one of"),
    ],
)
def test_a_variant_of_nothing_is_refused(variants, key, message):
    with pytest.raises(SuiteError) as caught:
        validated(tiny_profile(variants=variants))
    assert str(caught.value).startswith(f"config key {key}: {message}")


WHERE = {"dataset": "digits", "noise": "sym", "rate": 0.5}


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        (
            {"figures": {"fig1": {"column": WHERE, "methods": ["emlc-k5", "mlc"], "seeds": [0]}}},
            "config key figures.fig1.methods: unknown method 'mlc'; known: cross-entropy, emlc-k5, longer",
        ),
        (
            {"figures": {"fig4": {"column": WHERE | {"dataset": "no"}, "methods": ["longer"], "seeds": [0]}}},
            "config key figures.fig4.column.dataset: unknown dataset 'no'; known: digits",
        ),
        (
            {"timing": {"methods": ["emlc-k5", "mlc"]}},
            "config key timing.methods: unknown method 'mlc'; known: cross-entropy, emlc-k5, longer",
        ),
        (
            {"fidelity": {"column": WHERE, "method": "emlc", "seed": 0}},
            "config key fidelity.method: unknown method 'emlc'; known: cross-entropy, emlc-k5, longer",
        ),
        (
            {"fidelity": {"column": WHERE | {"dataset": "no"}, "method": "emlc-k5", "seed": 0}},
            "config key fidelity.column.dataset: unknown dataset 'no'; known: digits",
        ),
        (
            {
                "ablations": {
                    "column": WHERE,
                    "seeds": [0],
                    "questions": [{"question": "?", "reference": "emlc-k5", "variants": ["longer", "shorter"]}],
                }
            },
            "config key ablations.questions.0.variants: unknown method 'shorter'; known: cross-entropy, emlc-k5, longer",  # noqa: E501
        ),
    ],
)
def test_figures_and_ablations_name_methods_and_datasets_of_the_profile(evidence, message):
    with pytest.raises(SuiteError) as caught:
        validated(tiny_profile(variants={"longer": VARIANTS["longer"]}, **evidence))
    assert str(caught.value) == message


def test_figures_1_and_5_have_a_style_for_every_line():
    lines = json.loads((ROOT / "config" / "schema.json").read_text())["$defs"]["lines"]
    assert lines["properties"]["methods"]["maxItems"] == len(STYLES)


@pytest.mark.parametrize(
    "evidence",
    [
        {"figures": {"fig1": {"column": WHERE, "methods": ["simclr"], "seeds": [0]}}},
        {"fidelity": {"column": WHERE, "method": "simclr", "seed": 0}},
    ],
)
def test_a_shown_variant_that_starts_from_simclr_needs_a_recipe(evidence):
    with pytest.raises(SuiteError, match=r"config key datasets\.digits\.pretraining: missing"):
        validated(tiny_profile(variants={"simclr": VARIANTS["simclr"]}, **evidence))
    assert validated(tiny_profile(variants={"simclr": VARIANTS["simclr"]}))
