"""One part of a report's answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """The few words that a hurried reader takes along, then the sentences behind them."""

    head: str
    text: str
