"""A bounded cache holds what it may, and says what it let go."""

from dataclasses import dataclass

from hwdse.bounded import Bounded


@dataclass(frozen=True)
class Value:
    """Something of a size."""

    nbytes: int


def test_the_value_that_was_not_used_for_longest_goes_first() -> None:
    kept: Bounded[str, Value] = Bounded(10)
    kept.put("a", Value(4))
    kept.put("b", Value(4))
    assert kept.get("a") == Value(4)
    kept.put("c", Value(4))
    assert ("a" in kept, "b" in kept, "c" in kept) == (True, False, True)
    assert kept.get("b") is None
    assert (kept.bytes, kept.most_bytes, kept.found, kept.missed, kept.evicted) == (8, 8, 1, 1, 1)


def test_what_is_larger_than_all_is_not_kept_and_pushes_nothing_out() -> None:
    kept: Bounded[str, Value] = Bounded(10)
    kept.put("a", Value(4))
    kept.put("b", Value(11))
    assert ("a" in kept, "b" in kept, kept.evicted) == (True, False, 1)


def test_putting_again_replaces_and_dropping_is_no_eviction() -> None:
    kept: Bounded[str, Value] = Bounded(10)
    kept.put("a", Value(4))
    kept.put("a", Value(6))
    kept.drop("a")
    kept.drop("never")
    assert (len(kept), kept.bytes, kept.evicted) == (0, 0, 0)
    assert kept.get("a") is None
