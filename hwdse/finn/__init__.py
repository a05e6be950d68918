"""FINN+ as a tool: an environment of its own, a process in it that answers requests, and typed values between the two.

FINN+ pins packages that this project has in other versions, so that it is never imported here. What runs there lies in
`hwdse/finn_worker`.
"""

from hwdse.finn.environment import Environment, FinnError

__all__ = ["Environment", "FinnError"]
