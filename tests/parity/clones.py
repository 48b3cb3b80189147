"""Folders in place of clones: stand-ins written for these tests, and real clones where there are some."""

import os
import shutil
from pathlib import Path

import pytest

from pipelines.official.clones import NotComparable, find_clone
from pipelines.official.outcome import METHODS, adapter_of

STANDINS = Path(__file__).with_name("standins")
OFFICIAL = "EMLC_OFFICIAL"

FILES = {
    "emlc": {"meta.py": "emlc_meta.py", "meta_models.py": "emlc_meta_models.py"},
    "mlc": {
        "mlc.py": "mlc_mlc.py",
        "meta_models.py": "mlc_meta_models.py",
        "mlc_utils.py": "mlc_mlc_utils.py",
        "CIFAR/resnet.py": "mlc_resnet.py",
    },
    "mw_net": {"MW-Net.py": "mw_net_script.py", "resnet.py": "replaceable.py"},
    "mslc": {"main.py": "mslc_main.py", "resnet.py": "replaceable.py", "dataloader.py": "mslc_dataloader.py"},
    "fasten": {"Train_cifar_FasTEN.py": "fasten_script.py"},
    "mlnt": {"main.py": "mlnt_main.py"},
    "simclr": {"losses.py": "simclr_losses.py", "util.py": "simclr_util.py", "main_supcon.py": "simclr_main.py"},
    "resnets": {"networks/resnet_big.py": "resnets.py"},
    "pencil": {"PENCIL.py": "pencil_script.py"},
    "elr_plus": {
        "ELR_plus/utils/util.py": "elr_util.py",
        "ELR_plus/model/loss.py": "elr_loss.py",
        "ELR_plus/trainer/trainer.py": "elr_trainer.py",
    },
    "mslg": {"main.py": "mslg_main.py", "utils.py": "mslg_utils.py"},
    "joint_optim": {
        "train.py": "joint_train.py",
        "retrain.py": "joint_retrain.py",
        "dataset/cifar10.py": "joint_dataset.py",
    },
    "joint_optim_chainer": {
        "first_step_train.py": "joint_chainer_first.py",
        "second_step_train.py": "joint_chainer_second.py",
    },
    "part_dependent": {"tools.py": "part_dependent_tools.py"},
    "margins": {"utils.py": "margins_utils.py"},
    "noise": {"CIFAR/load_corrupted_data_mlg.py": "noise_loader.py"},
    "dividemix": {"Train_cifar.py": "divided_cifar.py", "Train_clothing1M.py": "divided_clothing.py"},
    "augdesc": {"train_cifar.py": "divided_cifar.py"},
    "famus": {
        "FaMUS/train_famus_redminiimage.py": "famus_script.py",
        "FaMUS/grad_operator_layer.py": "famus_gates.py",
        "FaMUS/gumbel_softmax.py": "famus_gumbel.py",
        "FaMUS/data_utils.py": "famus_data.py",
        "FaMUS/wideresnet.py": "replaceable.py",
        "FaMUS/preresnet.py": "famus_networks.py",
    },
    "sanm": {"Train_cifar.py": "sanm_train_cifar.py", "resnetc2d.py": "sanm_resnetc2d.py"},
    "c2d": {"train.py": "c2d_train.py", "train_cifar.py": "c2d_train_cifar.py", "main_cifar.py": "c2d_main_cifar.py"},
}
"""Adapter -> path in its clone -> stand-in: a slow way to compute the same, with the public code's interface."""


def stand_in(folder: Path, name: str) -> Path:
    """A folder with an adapter's stand-ins where a clone has the official files."""
    for path, source in FILES[name].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(STANDINS / source, folder / path)
    return folder


def official(name: str) -> Path:
    """The real clone, or a skip that says why there is none."""
    if OFFICIAL not in os.environ:
        pytest.skip(f"{OFFICIAL} names no folder with clones of the official code; see docs/parity.md")
    try:
        return find_clone(Path(os.environ[OFFICIAL]), adapter_of(name).REPOSITORY)
    except NotComparable as reason:
        pytest.skip(str(reason))


SIDES = [(name, kind) for name in METHODS for kind in ("stand-in", "official")]
BOTH = pytest.mark.parametrize("clone", SIDES, indirect=True, ids="-".join)
