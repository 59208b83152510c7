"""The bundle as MONAI sees it: `python -m monai.bundle run` builds and runs the network through these functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from medsr.models.bundle import load_bundle, load_network
from medsr.models.generator import Generator

__all__ = ["load_bundle_network", "run_inference"]


def load_bundle_network(folder: str) -> Generator:
    """The network of the bundle in `folder`, with its verified weights.

    MONAI's own loader knows only pickled ``model.pt``; medsr ships safetensors.
    """
    return load_network(load_bundle(Path(folder).resolve())).eval()


def run_inference(
    dataloader: Iterable[Mapping[str, Any]],
    network: torch.nn.Module,
    *,
    inferer: Callable[[torch.Tensor, torch.nn.Module], torch.Tensor],
    postprocessing: Callable[[Mapping[str, Any]], object],
    device: torch.device,
) -> int:
    """Run a loader's images through the network and the post-processing; returns how many.

    What MONAI's SupervisedEvaluator does, without pytorch-ignite, which it needs and medsr does not.
    """
    from monai.data.meta_tensor import MetaTensor
    from monai.data.utils import decollate_batch

    done = 0
    for batch in dataloader:
        items = decollate_batch(batch)
        with torch.inference_mode():
            predicted = inferer(batch["image"].as_tensor().to(device), network).cpu()
        for item, image in zip(items, predicted, strict=True):
            postprocessing({"pred": MetaTensor(image.clone(), meta=item["image"].meta)})
            done += 1
    return done
