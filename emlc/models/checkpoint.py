"""Encoders on disk: SimCLR's in the layout of HobbitLong/SupContrast, and torchvision's weights of ImageNet.

The file is a dictionary with ``opt`` (the run's options), ``model`` (a flat state dict) and ``epoch``. Encoder tensors
are saved under ``encoder.module.``, the one prefix that both MitchellKT/Enhanced-Meta-Label-Correction (strips exactly
that) and ContrastToDivide/C2D (removes ``module.``) understand; the projection head is ``head.0``, ``head.2``.
torchvision's files are a flat state dict, whose shortcuts are called ``downsample`` and whose head ``fc``.
"""

import argparse
import io
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emlc.models.base import Backbone
from emlc.records.artefacts import atomic_path, canonical_json
from emlc.records.errors import SuiteError

_WRAPPERS = ("module", "_orig_mod", "encoder", "backbone")
"""What DataParallel, ``torch.compile`` and classes around an encoder put into the names of its tensors."""

_RENAMED = {"downsample": "shortcut"}
"""What torchvision calls by another name."""

_HEADS = ("head", "classifier", "fc", "linear")
_COUNTER = "num_batches_tracked"
_REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def save_encoder(path: Path, encoder: Backbone, head: nn.Module, epoch: int, options: Mapping[str, Any]) -> None:
    """Write an encoder and its projection head, atomically; equal inputs give equal bytes.

    Parameters
    ----------
    path : Path
    encoder : Backbone
        Its classifier, which SimCLR does not train, is left out.
    head : nn.Module
        Projection head, e.g. ``Sequential(Linear, ReLU, Linear)``.
    epoch : int
        Last finished epoch.
    options : mapping
        The run's options, JSON values only (anything else would make the file unsafe to load).

    Raises
    ------
    SuiteError
        If the file cannot be written.
    """
    tensors = {f"encoder.module.{name}": tensor for name, tensor in _encoder_tensors(encoder).items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    content = {
        "opt": json.loads(canonical_json(dict(options))),
        "model": {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        },
        "epoch": epoch,
    }
    # To memory first: torch writes the file's own name into the archive, and reports a full disk as it pleases.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_encoder(path: Path, model: Backbone) -> int:
    """Copy a saved encoder into `model`, whose classifier stays as it is.

    Encoder tensors may be named ``encoder.module.*``, ``backbone.*``, ``_orig_mod.module.*``, bare, and so on. Every
    tensor of the model's encoder must be in the file with its shape (but for the counters ``num_batches_tracked``,
    which nothing here reads), and the file may hold none beyond these and a head.

    Parameters
    ----------
    path : Path
        A checkpoint of this suite, a public SupContrast one (``argparse.Namespace`` under ``opt``), or torchvision's
        weights of a ResNet.
    model : Backbone
        Changed in place, or not at all on an error.

    Returns
    -------
    int
        Number of tensors copied, e.g. 216 for ResNet-34 and 318 for ResNet-50.

    Raises
    ------
    SuiteError
        If the file is unreadable, holds Python objects other than tensors and plain options, does not match the
        model's encoder tensor by tensor, or a tensor is not one of finite real numbers or is a negative variance.
    """
    found = _strip_wrappers(path, _read_tensors(path))
    for name, tensor in found.items():
        if fault := _fault(name, tensor):
            raise SuiteError(f"{path}: tensor {name} {fault}; save the encoder again from a sound training")
    wanted = _encoder_tensors(model)
    matched = {name: tensor for name, tensor in found.items() if name in wanted and tensor.shape == wanted[name].shape}
    needed = {name for name in wanted if not name.endswith(_COUNTER)}
    misfits = sorted((needed | set(found)) - set(matched))
    if misfits:
        raise SuiteError(
            f"{path} matches {len(matched)} of the model's {len(wanted)} encoder tensors "
            f"({len(misfits)} misfits, first {_misfit(misfits[0], found, wanted)}); is it of the same backbone?"
        )
    model.load_state_dict(matched, strict=False)
    return len(matched)


def _fault(name: str, tensor: Tensor) -> str | None:
    """Return why a tensor can be no weight or statistic of an encoder; None if it can."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return "is sparse, quantised or without values, not a plain tensor"
    if tensor.dtype not in _REAL and not (name.endswith(_COUNTER) and tensor.dtype == torch.int64):
        return f"is {str(tensor.dtype).removeprefix('torch.')}, not real floating point"
    if not tensor.float().isfinite().all():
        return "holds NaN or infinite values (as float32)"
    if name.endswith("running_var") and (tensor < 0).any():
        return "is a variance and negative"
    return None


def _encoder_tensors(model: Backbone) -> dict[str, Tensor]:
    """Return the model's parameters and buffers without the classifier's."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("classifier.")}


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, without ever running code that the file brings along."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd pickle protocols; the error below says enough
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # whatever a damaged or hostile file makes the unpickler raise
        raise SuiteError(f"{path} is refused as a checkpoint: {_reason(error)}") from error
    for tensors in (content, content.get("model") if isinstance(content, dict) else None):
        if _are_named_tensors(tensors):
            return tensors
    raise SuiteError(f"{path} has no 'model' entry of named tensors; expected a SupContrast checkpoint or a state dict")


def _are_named_tensors(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )


def _reason(error: Exception) -> str:
    """Return in one line why torch refused the file."""
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
    if foreign:
        return f"it holds {foreign[1]}, and only tensors and plain options are safe to load"
    return "it is damaged or not a PyTorch file; fetch or pretrain it again"


def _strip_wrappers(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder's tensors under their bare names, whatever it was wrapped in."""
    encoder: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        bare = ".".join(_RENAMED.get(part, part) for part in name.split(".") if part not in _WRAPPERS)
        if bare in encoder:
            raise SuiteError(f"{path} holds {bare} under two names; keep one encoder per file")
        if bare.split(".")[0] not in _HEADS:
            encoder[bare] = tensor
    return encoder


def _misfit(name: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Tell how one tensor differs between file and model."""
    if name not in found:
        return f"{name} is missing"
    if name not in wanted:
        return f"{name} is unknown to the model"
    return f"{name} has shape {list(found[name].shape)} instead of {list(wanted[name].shape)}"
