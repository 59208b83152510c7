"""The only way out: states, the gate's word by policy, publication, held results, signed records."""

from medsr.release.advance import Release, advance
from medsr.release.decide import decide
from medsr.release.quarantine import Decision, decide_held, state_of
from medsr.release.record import verify_file
from medsr.release.rendered import Rendered

__all__ = ["Decision", "Release", "Rendered", "advance", "decide", "decide_held", "state_of", "verify_file"]
