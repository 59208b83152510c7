"""One router a file; `medsr.service.api.app` includes them."""

__all__: list[str] = []
