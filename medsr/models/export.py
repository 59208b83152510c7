"""`medsr models export`: a bundle in another project's form."""

from __future__ import annotations

from pathlib import Path

from medsr.errors import MissingExtra, UsageError
from medsr.models.bridge import BridgeSettings
from medsr.models.bundle import Bundle, load_network, regressor_of
from medsr.resources import write_bytes

__all__ = ["export_diffusers"]

_PIPELINE = '''"""The exported pipeline; the code is in the package medsr."""

from medsr.models.diffusers_form import RestorationPipeline

__all__ = ["RestorationPipeline"]
'''


def export_diffusers(bundle: Bundle, folder: Path) -> Path:
    """Write a bridge bundle with its regressor as a diffusers pipeline folder; returns the folder.

    Raises
    ------
    UsageError : ``export.method``, if the bundle has no bridge; ``export.not_empty``; ``bundle.regressor``.
    MissingExtra : ``export.diffusers``, if diffusers is not installed.
    """
    if bundle.method != "diffusion":
        raise UsageError("export.method", f"{bundle.name} restores by {bundle.method}, which is no diffusers pipeline")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("export.not_empty", f"{folder.name} holds other files")
    try:
        from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

        from medsr.models.diffusers_form import BridgeModel, GeneratorModel, RestorationPipeline
    except ImportError as error:
        raise MissingExtra("export.diffusers", "diffusers is not installed") from error
    base = regressor_of(bundle)
    settings = BridgeSettings.from_record(bundle.settings)
    regressor = GeneratorModel(**dict(base.network))
    bridge = BridgeModel(**dict(bundle.network), scale_weights=list(settings.scale_weights), steps=list(settings.steps))
    regressor.net.load_state_dict(load_network(base).state_dict())
    bridge.net.load_state_dict(load_network(bundle).state_dict())
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    pipeline = RestorationPipeline(regressor, bridge, scheduler)
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    write_bytes(folder / "pipeline.py", _PIPELINE.encode())
    write_bytes(folder / "README.md", (bundle.folder / "docs" / "README.md").read_bytes())
    return folder
