"""The reader child: bytes of strangers are parsed and decoded in a process of their own, under limits.

`client` asks from the process that wants a volume; `server` is a small process that has the parsers imported and
forks one child a request; `work` is what the child does; `limits` what it may take; `protocol` how they speak.
"""

__all__: list[str] = []
