"""A thin client of the service: ``Client(url, key).restore("scan.nii.gz", task="denoise").save("out/")``."""

from medsr.client.client import Client
from medsr.client.failure import ServiceProblem
from medsr.client.outcome import Outcome

__all__ = ["Client", "Outcome", "ServiceProblem"]
