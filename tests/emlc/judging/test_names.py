"""Names: which spellings are one, which are not, and what is nearest to an unknown one."""

import pytest

from emlc.judging.names import dataset_key, method_key, nearest, noise_key


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        (method_key, ["Cross-Entropy", "Cross-entropy", "cross entropy", "Cross_Entropy", "CE", "Cross-Entropy (CE)"]),
        (method_key, ["MW-Net", "MWNet", "mw net", "Meta-Weight-Net", "Meta Weight Net"]),
        (method_key, ["MLC", "Meta Label Correction"]),
        (method_key, ["MLNT", "Meta-Learning"]),  # as Table 2 calls it
        (method_key, ["EMLC (k=1)", "EMLC (k = 1)", "EMLC k=1", "EMLC-k1", "emlc_k1", "EMLC 1", "EMLC(k=1)"]),
        (method_key, ["EMLC (k=5)", "EMLC k = 5", "EMLC-5"]),
        (method_key, ["P-correction", "PENCIL", "P\N{NON-BREAKING HYPHEN}correction"]),
        (method_key, ["Self Learning", "Self-Learning", "SMP"]),
        (method_key, ["DivideMix", "Divide Mix"]),
        (dataset_key, ["CIFAR-10", "CIFAR10", "cifar-10", "Cifar 10", "cifar_10", "C10"]),
        (dataset_key, ["CIFAR-100", "cifar100", "CIFAR\N{EN DASH}100"]),
        (dataset_key, ["Clothing1M", "Clothing-1M", "clothing 1m"]),
        (noise_key, ["sym", "Sym.", "symmetric", "SYMM", "uniform", "unif"]),
        (noise_key, ["asym", "Asym.", "asymmetric", "asymm"]),
    ],
)
def test_spellings_of_one_name(key, spellings):
    assert len({key(name) for name in spellings}) == 1


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (method_key, ["MLC", "EMLC (k=1)", "EMLC (k=5)", "MSLC", "ELR", "ELR+", "EMLC (k=15)"]),
        (
            dataset_key,
            ["CIFAR-10", "CIFAR-100", "CIFAR-10 (JPEG)", "CIFAR", "Clothing1M", "Clothing (small)", "Clothing"],
        ),
        (noise_key, ["sym", "asym", "sym-exclusive", "flip", "pair-flip", "class-dependent", ""]),
    ],
)
def test_names_that_stay_apart(key, names):
    assert len({key(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("EMCL (k=1)", "EMLC (k=1)"), ("Mixup", None), ("Fast TEN+", "FasTEN"), ("crossentropie", "Cross-Entropy")],
)
def test_the_nearest_known_name(name, expected):
    assert nearest(name, ["Cross-Entropy", "MLC", "FasTEN", "EMLC (k=1)", "EMLC (k=5)"]) == expected


def test_nothing_is_near_to_no_name():
    assert nearest("MLC", []) is None
    assert nearest("part-dependent", [""]) is None
