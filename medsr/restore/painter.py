"""The networks of one restoration, ready to run: a regressor, its mixture with a GAN end, or it and a bridge."""

from __future__ import annotations

from dataclasses import dataclass

from medsr.errors import Refusal
from medsr.models.bridge import BridgeSettings
from medsr.models.bundle import Bundle, load_network, regressor_of
from medsr.models.engine import TorchEngine
from medsr.models.generator import Generator
from medsr.models.mixture import FIDELITIES, mixed_weights
from medsr.models.through import Start
from medsr.records import ModelIdentity
from medsr.restore.diffusion import Sampling
from medsr.restore.request import RestoreRequest

__all__ = ["Painter", "default_fidelity", "painter_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Painter:
    """The engine that regresses, what made the image, the sampling around it and the through-plane start, if any."""

    engine: TorchEngine
    identity: ModelIdentity
    sampling: Sampling | None = None
    start: Start = "consistent"


def painter_of(bundle: Bundle, request: RestoreRequest, *, level: str) -> Painter:
    """Load what a bundle needs.

    Raises
    ------
    UsageError : ``bundle.regressor``.
    Refusal : ``bundle.broken``, ``bundle.weights``.
    """
    if bundle.method == "gan":
        return _mixture(bundle, request, level)
    if bundle.method == "diffusion":
        return _sampler(bundle, request)
    engine = TorchEngine.of(load_network(bundle), device=request.device, precision=request.precision)
    return Painter(engine, _identity(bundle, engine), start=_start(bundle))


def default_fidelity(bundle: Bundle, level: str) -> float:
    """The fidelity that a GAN bundle was found to serve a level with; that of its task, else 0.5.

    Raises
    ------
    Refusal : ``bundle.broken``, if the bundle states another than the ones that are offered.
    """
    table = bundle.settings.get("fidelity", {})
    if not isinstance(table, dict):
        raise Refusal("bundle.broken", f"{bundle.name} states no table of fidelities")
    value = table.get(level, table.get(level.split("@", 1)[0], 0.5))
    if value not in FIDELITIES:
        raise Refusal("bundle.broken", f"{bundle.name} states a fidelity of {value!r} for {level}")
    return float(value)


def _start(bundle: Bundle) -> Start:
    start = bundle.settings.get("start", "consistent")
    if start not in ("linear", "consistent"):
        raise Refusal("bundle.broken", f"{bundle.name} states a start of {str(start)[:20]!r}")
    return start


def _mixture(bundle: Bundle, request: RestoreRequest, level: str) -> Painter:
    fidelity = default_fidelity(bundle, level) if request.fidelity is None else request.fidelity
    regressor, end = load_network(regressor_of(bundle)), load_network(bundle)
    mixed = Generator(regressor.config)
    mixed.load_state_dict(mixed_weights(regressor.state_dict(), end.state_dict(), fidelity))
    engine = TorchEngine.of(mixed, device=request.device, precision=request.precision)
    return Painter(engine, _identity(bundle, engine, fidelity=fidelity))


def _sampler(bundle: Bundle, request: RestoreRequest) -> Painter:
    settings = BridgeSettings.from_record(bundle.settings)
    engines = [
        TorchEngine.of(load_network(part), device=request.device, precision=request.precision)
        for part in (regressor_of(bundle), bundle)
    ]
    identity = _identity(bundle, engines[0], steps=len(settings.steps), samples=request.samples, seed=request.seed)
    return Painter(engines[0], identity, Sampling(engines[0], engines[1], settings, request.samples, request.seed))


def _identity(
    bundle: Bundle,
    engine: TorchEngine,
    *,
    fidelity: float | None = None,
    steps: int | None = None,
    samples: int | None = None,
    seed: int | None = None,
) -> ModelIdentity:
    return ModelIdentity(
        bundle=bundle.name,
        version=bundle.version,
        sha256=bundle.sha256,
        method=bundle.method,
        fidelity=fidelity,
        steps=steps,
        samples=samples,
        seed=seed,
        engine="torch",
        precision=engine.precision,
    )
