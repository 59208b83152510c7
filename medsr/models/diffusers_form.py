"""The networks as diffusers has them: for the exported pipeline folder and the test of our sampler, nowhere else.

diffusers writes full module paths into model_index.json, so moving this module breaks exported folders.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from medsr.models.bridge import STEPS, Bridge, bridge_input, residual_scale
from medsr.models.generator import Generator, GeneratorConfig

__all__ = ["BridgeModel", "GeneratorModel", "RestorationPipeline"]

Consistency = Callable[[torch.Tensor, float], torch.Tensor]


class GeneratorModel(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is not typed
    """The regressor; constructor arguments are its saved configuration."""

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers is not typed
    def __init__(self, slices: int = 5, maps: int = 3, width: int = 64, blocks: int = 8, down: int = 2) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # diffusers is not typed
        self.net = Generator(GeneratorConfig(slices, maps, width, blocks, down))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, slices + maps, H, W) to (B, 1, H, W)."""
        restored: torch.Tensor = self.net(x)
        return restored


class BridgeModel(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is not typed
    """The bridge; constructor arguments are its saved configuration, the local scale's weights and the steps too."""

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers is not typed
    def __init__(
        self,
        slices: int = 5,
        maps: int = 6,
        width: int = 64,
        blocks: int = 8,
        down: int = 4,
        scale_weights: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0),  # noqa: ARG002  # saved by the decorator
        steps: tuple[float, ...] = STEPS,  # noqa: ARG002  # saved by the decorator
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # diffusers is not typed
        self.net = Bridge(GeneratorConfig(slices, maps, width, blocks, down))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, slices + maps, H, W) to the predicted r, (B, 1, H, W)."""
        predicted: torch.Tensor = self.net(x)
        return predicted


class RestorationPipeline(DiffusionPipeline):
    """Regressor, bridge and scheduler; ``RestorationPipeline.from_pretrained(folder)`` loads an export.

    Parameters
    ----------
    regressor, bridge, scheduler : the parts; the bridge's configuration holds the local scale and the steps.
    """

    def __init__(
        self, regressor: GeneratorModel, bridge: BridgeModel, scheduler: FlowMatchEulerDiscreteScheduler
    ) -> None:
        super().__init__()
        self.register_modules(regressor=regressor, bridge=bridge, scheduler=scheduler)  # type: ignore[no-untyped-call]  # as above

    @torch.no_grad()
    def __call__(
        self,
        given: torch.Tensor,
        *,
        generator: torch.Generator | None = None,
        consistent: Consistency | None = None,
    ) -> torch.Tensor:
        """One sample of each image of a batch, (B, 1, H, W), from what the regressor is given (B, C, H, W).

        Neither padding nor tiling is done here: H and W must be multiples of both unshuffle factors.
        """
        regressed, steps = self.regressor(given), self.bridge.config["steps"]
        local = residual_scale(
            given, regressed, self.bridge.config["scale_weights"], slices=self.regressor.config["slices"]
        )
        self.scheduler.set_timesteps(sigmas=list(steps))
        moved = torch.randn(regressed.shape, generator=generator)
        for time, step in zip(steps, self.scheduler.timesteps, strict=True):
            predicted = self.bridge(bridge_input(given, regressed, moved, time))
            if consistent is not None:
                predicted = (consistent(regressed + local * predicted, time) - regressed) / local
            moved = self.scheduler.step((moved - predicted) / time, step, moved).prev_sample
        result: torch.Tensor = regressed + local * moved
        return result
