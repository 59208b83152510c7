"""The HTTP side of the service: one app over one job store. Nothing here parses a scan or loads a framework."""

from medsr.service.api.app import create_app
from medsr.service.api.protocol import guarded
from medsr.service.api.settings import ApiSettings

__all__ = ["ApiSettings", "create_app", "guarded"]
