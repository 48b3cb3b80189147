"""Profiles: read, based on others, typed; every mistake is one line that names its key."""

import json
import re

import pytest
import yaml

from emlc.engine.run import method_class, parse_options
from emlc.records.errors import SuiteError
from pipelines.profile.derived import start_of, title_of
from pipelines.profile.load import based, checked, load_profile, profile_of
from pipelines.profile.model import Profile
from pipelines.profile.places import DEFAULT_PROFILE, ROOT
from tests.tiny import tiny_profile


@pytest.fixture
def over(tmp_path):
    """The default profile with a text of YAML laid over it."""

    def load(text: str) -> Profile:
        path = tmp_path / "over.yaml"
        path.write_text(text)
        return load_profile([DEFAULT_PROFILE, path])

    return load


def column(**changes):
    return yaml.safe_dump(
        {"tables": {"table1": {"columns": [{"dataset": "digits", "noise": "sym", "rate": 0.5, **changes}]}}}
    )


IN_COLUMN = r"config key tables\.table1\.columns\.0\."
BAD = {
    "profile: A/B": r"config key profile: 'A/B' is refused; string should match",
    "profile: store": r"config key profile: 'store' is a folder of results/; choose another name",
    "protocol: mine": r"config key protocol: 'mine' is refused; input should be 'paper' or 'released'",
    "seeds: 3": r"config key seeds: 3 is refused; input should be a valid tuple",
    "seeds: []": r"config key seeds: \[\] is refused; .*at least 1 item",
    "seeds: [-1]": r"config key seeds\.0: -1 is refused; .*greater than or equal to 0",
    "seeds: [1, 2, 1]": r"config key seeds\.2: the same as seeds\.0; leave one of them out",
    "seeds: [true]": r"config key seeds\.0: True is refused; true and false are no numbers",
    "threads: 1.5": r"config key threads: 1\.5 is refused; input should be a valid integer",
    "device: tpu": r"config key device: 'tpu' is refused",
    "seeds_per_job: 17": r"config key seeds_per_job: 17 is refused; .*less than or equal to 16",
    column(rate=1.5): IN_COLUMN + r"rate: 1\.5 is refused; input should be less than or equal to 1",
    column(rate="half"): IN_COLUMN + r"rate: 'half' is refused; input should be a valid number",
    column(noise="symmetric"): IN_COLUMN + r"noise: 'symmetric' is refused; input should be 'sym', ",
    column(dataset="emnist"): IN_COLUMN + r"dataset: unknown dataset 'emnist'; known: digits",
    column(sampling="exact"): IN_COLUMN + r"sampling: 'exact' is refused",
    column(noise="human-worst"): IN_COLUMN + r"noise: human-worst needs .* datasets\.digits\.human_labels",
    "datasets: {digits: {human_labels: x.pt}}": r"config key datasets\.digits\.human_labels: 'x\.pt' is refused",
    "datasets: {digits: {human_labels: x.dvc}}\n" + column(noise="human-worst", sampling="per-label"): (
        IN_COLUMN + r"sampling: human labels are given"
    ),
    "tables: {../table: {title: T}}": r"config key tables\.\.\./table: .* is refused",
    column(rat=0.5): IN_COLUMN + r"rat: there is no such key",
    "tables: {table1: {columns: [{dataset: digits, noise: sym}]}}": IN_COLUMN + "rate: missing",
    "tables: {table1: {columns: []}}": r"config key tables\.table1\.columns: \[\] is refused",
    "tables: {table1: {methods: [mlp]}}": r"config key tables\.table1\.methods: unknown method 'mlp'; known: cross",
    'tables: {table1: {title: "a\\nb"}}': r"config key tables\.table1\.title: .*it must be one line of text",
    "datasets: {digits: {kind: mnist}}": r"config key datasets\.digits\.kind: 'mnist' is refused; input should be",
    "datasets: {digits: {clean_per_class: 0}}": r"config key datasets\.digits\.clean_per_class: 0 is refused",
    "datasets: {digits: {model: cnn-small}}": r"config key datasets\.digits\.model: 'cnn-small' is refused",
    "datasets: {digits: {crop: 1}}": r"config key datasets\.digits\.crop: there is no such key",
    "training: {lrr: 1}": r"config key training\.lrr: there is no such key",
    "training: {lr: 0}": r"config key training\.lr: 0 is refused; input should be greater than 0",
    "training: {precision: half}": r"config key training\.precision: 'half' is refused",
    "training: {momentum: 1}": r"config key training\.momentum: 1 is refused; input should be less than 1",
    "training: {epochs: 0}": r"config key training\.epochs: 0 is refused",
    "methods: {mlc: {training: {lr: fast}}}": r"config key methods\.mlc\.training\.lr: 'fast' is refused",
    "training: {milestones: [3], schedule: cosine}": (
        r"config key training: milestones are of schedule steps, not of cosine; say milestones: \[\]"
    ),
    "training: {final_lr: 0.001}": r"config key training: final_lr is of schedule cosine, not of steps; leave it out",
    "training: {warm_up_epochs: 16}": r"config key training: warm_up_epochs is 16, more than the 15 epochs; lower it",
    "training: {momentum: 0, nesterov: true}": r"config key training: nesterov needs a momentum above 0",
    "training: {schedule: linear}": r"config key training\.schedule: 'linear' is refused; input should be 'constant',",
    "methods: {mlc: {training: {warm_up_epochs: 16}}}": (
        r"config key methods\.mlc\.training, on digits: warm_up_epochs is 16, more than the 15 epochs; lower it"
    ),
    "training: {milestones: [3]}\nvariants: {v: {label: V, of: mlc, training: {schedule: constant}}}": (
        r"config key variants\.v\.training, on digits: milestones are of schedule steps, not of constant"
    ),
    "methods: {mlc: {datasets: {mnist: {padding: zero}}}}": (
        r"config key methods\.mlc\.datasets: unknown dataset 'mnist'; known: digits"
    ),
    "methods: {mlc: {datasets: {digits: {kind: digits}}}}": (
        r"config key methods\.mlc\.datasets\.digits\.kind: there is no such key"
    ),
    "methods: {mlc: {padding: mirror}}": r"config key methods\.mlc\.padding: 'mirror' is refused; input should be",
    "methods: {mlc: {validation_per_class: 0}}": r"config key methods\.mlc\.validation_per_class: 0 is refused",
    "methods: {mlc: {selection: best}}": r"config key methods\.mlc\.selection: 'best' is refused; input should be",
    "methods: {mlc: {sampling: exact}}": r"config key methods\.mlc\.sampling: 'exact' is refused",
    "methods: {mlc: {std: [0]}}": r"config key methods\.mlc\.std\.0: 0 is refused; input should be greater than 0",
    "methods: {mlc: {mean: [0.1, 0.2, 0.3]}}": r"config key methods\.mlc: .*mean",
    "methods: {mlc: {model: resnet18}}": r"config key methods\.mlc\.model: 'resnet18' is refused",
    "methods: {mlc: {option: {}}}": r"config key methods\.mlc\.option: there is no such key",
    "methods: {new: {label: New}}": r"config key methods\.new\.implementation: missing",
    "methods: {mlc: {implementation: os.path}}": r"config key methods\.mlc\.implementation: 'os\.path' is refused",
    "methods: {mlc: {label: 'M|C'}}": r"config key methods\.mlc\.label: 'M\|C' is refused",
    "figures: {fig5: {methods: [mlc, mlnt, mslc, fasten, emlc-k1, emlc-k5]}}": (
        r"config key figures\.fig5\.methods: at most 5 lines can be told apart"
    ),
    "figures: {fig1: {methods: [mlp]}}": r"config key figures\.fig1\.methods: unknown method 'mlp'; known: ",
    "figures: {fig1: {column: {dataset: mnist}}}": r"config key figures\.fig1\.column\.dataset: unknown dataset",
    "timing: {methods: [mlp]}": r"config key timing\.methods: unknown method 'mlp'",
    "variants: {mlc: {label: MLC too, of: mlc}}": r"config key variants\.mlc: a method has this name",
    "variants: {v: {label: V, of: mlp}}": r"config key variants\.v\.of: unknown method 'mlp'",
    "methods: null": r"config key methods: None is refused",
    "epochs: 3": r"config key epochs: there is no such key",
    "1: x": r"config key 1: there is no such key",
    "training: {lr: .nan}": r"config key training\.lr: nan is not a finite number",
    "methods: {mlc: {options: {teacher_lr: -.inf}}}": r"config key methods\.mlc\.options\.teacher_lr: -inf is not",
    "datasets: {digits: {options: {mean: [0.1, .nan]}}}": r"config key datasets\.digits\.options\.mean\.1: nan is not",
    "base: [1]": r"config key base: \[1\] is no path of another profile",
    "seeds: [1]\nseeds: [2]": r"over\.yaml is not valid YAML: key 'seeds' is there twice .*line",
    "seeds: &s [*s]": r"over\.yaml stands for more than 100,000 values",
    "- 1": r"over\.yaml is no mapping of keys to values; the files in config/ are examples",
    "a: !!python/object:os.system x": r"over\.yaml is not valid YAML: could not determine a constructor",
}


@pytest.mark.parametrize("text", BAD, ids=[text.strip().replace("\n", " ") for text in BAD])
def test_a_mistake_is_named_in_one_line(over, text):
    with pytest.raises(SuiteError, match=BAD[text]) as caught:
        over(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["profile", "seeds", "tables", "training", "methods", "datasets", "protocol"])
def test_a_missing_key_is_named(key):
    profile = tiny_profile()
    del profile[key]
    with pytest.raises(SuiteError, match=f"config key {key}: missing"):
        checked(profile)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*none\.yaml: No such file"):
        load_profile([tmp_path / "none.yaml"])


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "'1e-5'", "0.00001", "+1.e-5"])
def test_numbers_with_an_exponent_are_numbers(over, text):
    assert over(f"training: {{lr: {text}}}").training.lr == 1e-5
    assert over(f"methods: {{mlc: {{options: {{teacher_lr: {text}}}}}}}").method("mlc").options["teacher_lr"] == 1e-5
    assert over(column(rate=1e-5).replace("1.0e-05", text)).tables["table1"].columns[0].rate == 1e-5


def test_what_snakemake_makes_of_its_command_line_is_read_by_type():
    """``--config seeds=[0,1] training='{lr: 0.1}'`` arrives as texts."""
    plain = {**tiny_profile(), "seeds": ["0", "1"], "threads": "2"}
    plain["training"] = {**plain["training"], "lr": "0.1"}
    profile = profile_of(plain, [])
    assert (profile.seeds, profile.threads, profile.training.lr) == ((0, 1), 2, 0.1)


def test_later_files_win_key_by_key_and_lists_are_replaced(over):
    before = load_profile()
    profile = over("seeds: [7]\ntraining: {lr: 0.5}\nmethods: {mlc: {options: {teacher_lr: 0.25}}}")
    assert profile.seeds == (7,)
    assert profile.training == before.training.model_copy(update={"lr": 0.5})
    assert profile.method("mlc").options == {**before.method("mlc").options, "teacher_lr": 0.25}
    assert list(profile.methods) == list(before.methods)


def test_a_profile_is_its_base_with_what_it_says_itself(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(tiny_profile(seeds=[3, 4])))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "middle.yaml").write_text("base: ../base.yaml\ntraining: {lr: 0.25}\n")
    (tmp_path / "top.json").write_text(json.dumps({"base": "more/middle.yaml", "seeds": [5]}))
    profile = load_profile([tmp_path / "top.json"])
    assert profile == checked(tiny_profile(seeds=[5], training={**tiny_profile()["training"], "lr": 0.25}))
    assert profile_of({"base": "base.yaml"}, [tmp_path / "x.yaml"]) == checked(tiny_profile(seeds=[3, 4]))


def test_null_takes_away_what_the_base_has(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(tiny_profile()))
    text = "base: base.yaml\nmethods: {emlc-k5: null}\ntables: {table1: {published: null}}\n"
    (tmp_path / "top.yaml").write_text(text)
    profile = load_profile([tmp_path / "top.yaml"])
    assert list(profile.methods) == ["cross-entropy"]
    assert profile.tables["table1"].published is None


def test_a_profile_that_is_based_on_itself_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: ./a.yaml\n")
    message = r"config key base: a profile is based on itself \(a\.yaml -> b\.yaml -> a\.yaml\)"
    with pytest.raises(SuiteError, match=message):
        load_profile([tmp_path / "a.yaml"])
    with pytest.raises(SuiteError, match=r"cannot read .*gone\.yaml"):
        based({"base": "gone.yaml"}, tmp_path)


def test_two_methods_or_two_data_sets_of_one_name_are_refused(over):
    for label in ("EMLC (k=1)", "emlc (K = 1)"):
        message = r"config key methods\.emlc-k1\.label: the same name as methods\.mlc\.label"
        with pytest.raises(SuiteError, match=message):
            over(f"methods: {{mlc: {{label: {label}}}}}")
    digits = tiny_profile()["datasets"]["digits"]
    columns = [{"dataset": name, "noise": "sym", "rate": 0.5} for name in ("digits", "again")]
    tables = {"table1": {"title": "T", "columns": columns}}
    message = r"config key datasets\.again\.options\.title: the same name as datasets\.digits\.options\.title"
    with pytest.raises(SuiteError, match=message):
        checked(tiny_profile(datasets={"digits": digits, "again": digits}, tables=tables))
    titled = {"digits": digits, "again": {**digits, "options": {"title": "Again"}}}
    assert title_of(checked(tiny_profile(datasets=titled, tables=tables)), "again") == "Again"


def test_columns_that_differ_in_their_sampling_only_are_refused():
    one = {"dataset": "digits", "noise": "sym", "rate": 0.5}
    other = {**one, "sampling": "exact-count"}
    with pytest.raises(
        SuiteError, match=r"config key tables\.table1\.columns\.1: the same as tables\.table1\.columns\.0"
    ):
        checked(tiny_profile(tables={"table1": {"title": "T", "columns": [one, other]}}))
    tables = {name: {"title": name, "columns": [column]} for name, column in (("table1", one), ("table2", other))}
    with pytest.raises(SuiteError, match=r"config key tables\.table2\.columns: two samplings of one column"):
        checked(tiny_profile(tables=tables))


def test_a_variant_is_its_method_with_what_it_changes(over):
    text = """
    variants:
      v: {label: V, of: mlc, options: {hidden: 7}, training: {lr: 0.5}, order: fixed, split: released}
    """
    profile = over(text)
    base, variant = profile.method("mlc"), profile.method("v")
    assert variant.options == {**base.options, "hidden": 7}
    assert (variant.training.lr, variant.order, variant.split, variant.label) == (0.5, "fixed", "released", "V")
    assert variant.implementation == base.implementation
    assert profile.method("emlc-scratch").initialisation == start_of(profile, "emlc-scratch") == "scratch"
    assert start_of(profile, "emlc-k1") == "simclr"


def test_a_method_s_own_data_set_goes_before_what_it_says_of_all_and_that_before_the_profile_s(over):
    text = """
    methods:
      mlc:
        model: {name: resnet18}
        crop_padding: 2
        training: {epochs: 20}
        datasets: {digits: {crop_padding: 0, mean: [0.1], options: {hidden: 9}, training: {lr: 0.25, epochs: 30}}}
    variants:
      v: {label: V, of: mlc, padding: reflect, datasets: {digits: {clean_per_class: 5, training: {epochs: 40}}}}
    """
    profile = over(text)
    plain, mlc, variant = (profile.data(name, "digits") for name in ("cross-entropy", "mlc", "v"))
    assert plain == profile.datasets["digits"]
    assert (plain.model.name, mlc.model.model_dump()) == ("cnn-small", {"name": "resnet18"})  # without the other's pool
    assert (plain.crop_padding, mlc.crop_padding, mlc.options["mean"]) == (1, 0, [0.1])
    assert (mlc.clean_per_class, mlc.padding) == (plain.clean_per_class, "zero")
    assert (variant.crop_padding, variant.clean_per_class, variant.padding) == (0, 5, "reflect")
    trained = [profile.training_of(name, "digits") for name in ("fasten", "mlc", "v")]
    assert [(training.epochs, training.lr) for training in trained] == [(15, 0.05), (30, 0.25), (40, 0.25)]
    assert profile.options_of("v", "digits") == {**profile.options_of("mlc", "digits"), "hidden": 9}


def test_runs_that_start_from_simclr_need_a_recipe():
    message = r"config key datasets\.digits\.pretraining: missing, yet runs are to start from SimCLR"
    with pytest.raises(SuiteError, match=message):
        checked(tiny_profile(initialisation="simclr"))
    methods = {**tiny_profile()["methods"]}
    methods["emlc-k5"] = {**methods["emlc-k5"], "initialisation": "simclr"}
    with pytest.raises(SuiteError, match=message):
        checked(tiny_profile(methods=methods))
    tables = {"table1": {**tiny_profile()["tables"]["table1"], "methods": ["cross-entropy"]}}
    assert checked(tiny_profile(methods=methods, tables=tables))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({}, "epochs or checkpoint is missing"),
        ({"checkpoint": "x.pt", "epochs": 3}, "with a checkpoint there is nothing else to say"),
        ({"epochs": 0}, "config key datasets.digits.pretraining.epochs: 0 is refused"),
        ({"epochs": 3, "temperature": 0}, "config key datasets.digits.pretraining.temperature: 0 is refused"),
    ],
)
def test_wrong_pretrainings_are_refused_by_name(block, message):
    datasets = {"digits": {**tiny_profile()["datasets"]["digits"], "pretraining": block}}
    with pytest.raises(SuiteError, match=re.escape(message)):
        checked(tiny_profile(datasets=datasets))


def test_every_option_of_the_default_profile_and_the_protocols_is_one_of_its_method():
    profile = load_profile()
    for name in (*profile.methods, *profile.variants):
        method = profile.method(name)
        parse_options(method_class(method.implementation).Options, method.options, method.implementation)
    protocols = yaml.safe_load((ROOT / "config" / "protocols.yaml").read_text())
    for protocol in protocols.values():
        for implementation, options in protocol["options"].items():
            parse_options(method_class(implementation).Options, options, implementation)
