"""What a design loses of text, in words: by how much its perplexity is higher.

Ratios come with intervals over sequences, because bytes of one sequence depend on each other. 'Higher' and 'lower'
appear only where the 95 % interval excludes one.
"""

from math import exp

from hwdse.evaluation import Accuracy, Ratio, perplexity_ratio
from hwdse.report.quantities import percent


def quality(accuracy: Accuracy) -> str:
    """`97.50 %` of images, or the perplexity of a text."""
    return f"{accuracy.perplexity:.4g}" if accuracy.of_text else percent(accuracy.top1)


def over(mine: Accuracy, its: Accuracy) -> float:
    """The perplexity of `mine` over that of `its`."""
    return exp(mine.loss - its.loss)


def more(ratio: float) -> str:
    """`5.00 %`, of a ratio of 1.05, or of one below 1 by as much."""
    return f"{100 * abs(ratio - 1):.2f} %"


def loss(test: Accuracy, goal: Accuracy, allowed: float) -> tuple[str, str]:
    """What the design loses against the float model on the test split: a few words, and the sentences behind them."""
    ratio = perplexity_ratio(test, goal)
    both = f"{test.perplexity:.4g} against {goal.perplexity:.4g}; {between(ratio)}"
    where = f"On the test split ({test.count:,} tokens in {test.samples:,} sequences)"
    return head(ratio), f"{where} {verdict(ratio, 'the float model')} ({both}). {within(ratio, allowed)}"


def head(ratio: Ratio) -> str:
    """`3.21 % more perplexity`, or `no difference shown`."""
    if not ratio.excludes_one:
        return "no difference shown"
    return f"{more(ratio.value)} {'more' if ratio.value > 1 else 'less'} perplexity"


def verdict(ratio: Ratio, other: str) -> str:
    """What may be said of a ratio of perplexities."""
    if not ratio.excludes_one:
        return f"no difference from {other} could be shown"
    return f"its perplexity is {more(ratio.value)} {'higher' if ratio.value > 1 else 'lower'} than that of {other}"


def between(ratio: Ratio) -> str:
    """`95 % interval +1.39 % to +2.31 %`, after the change itself where the verdict does not say it."""
    low, high = (f"{100 * (end - 1):+.2f} %" for end in ratio.interval)
    interval = f"95 % interval {low} to {high}"
    return interval if ratio.excludes_one else f"{100 * (ratio.value - 1):+.2f} %, {interval}"


def within(ratio: Ratio, most: float) -> str:
    """Whether the test split settles that the allowed perplexity is kept."""
    allowed = f"the allowed {more(most)} of perplexity"
    if ratio.interval.high <= most:
        return f"The interval stays within {allowed}."
    if ratio.interval.low > most:
        return f"The interval lies beyond {allowed}."
    return f"The interval does not rule out more than {allowed}."
