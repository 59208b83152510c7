"""The service: jobs over HTTP, and the processes that run them."""

__all__: list[str] = []
