"""The installed bundles, for listing."""

from __future__ import annotations

from medsr.errors import Refusal, UsageError
from medsr.models.bundle import Bundle, bundle_folders, load_bundle

__all__ = ["bundle_record", "card", "installed", "named"]


def installed() -> list[Bundle]:
    """Every installed bundle, verified."""
    return [load_bundle(folder) for folder in bundle_folders()]


def named(name: str) -> Bundle:
    """The installed bundle of that name.

    Raises
    ------
    UsageError : ``bundle.unknown``, if there is none.
    """
    for folder in bundle_folders():
        bundle = load_bundle(folder)
        if bundle.name == name:
            return bundle
    raise UsageError("bundle.unknown", f"no bundle {name[:40]!r} among {[folder.name for folder in bundle_folders()]}")


def bundle_record(bundle: Bundle) -> dict[str, object]:
    """What `medsr models list --json` says of a bundle."""
    return {
        "name": bundle.name,
        "version": bundle.version,
        "modality": bundle.modality,
        "method": bundle.method,
        "plane": bundle.plane,
        "tasks": ", ".join(bundle.tasks),
        "sha256": bundle.sha256,
        "sha256_short": bundle.sha256[:12],
        "domain": dict(bundle.domain),
        "description": bundle.description,
    }


def card(bundle: Bundle) -> str:
    """The bundle's card, Markdown.

    Raises
    ------
    Refusal : ``bundle.broken``, if it has none.
    """
    try:
        return (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("bundle.broken", f"{bundle.name} has no readable card") from error
