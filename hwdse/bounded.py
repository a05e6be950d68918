"""A cache of tensors that holds at most so many bytes; what was not used for longest goes first, and is counted."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What a cache may hold: a tensor, or several."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


class Bounded(Generic[K, V]):
    """At most `limit_bytes` of values. Reading one makes it the newest; one that is larger than all is not kept."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self.most_bytes = 0
        self.found = 0
        self.missed = 0
        self.evicted = 0
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """What was put at `key`, if it is still there."""
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
            self.found += 1
        else:
            self.missed += 1
        return value

    def put(self, key: K, value: V) -> None:
        """Keeps `value`, and lets go of older ones where there is no room."""
        self.drop(key)
        if value.nbytes > self.limit_bytes:
            self.evicted += 1
            return
        self._kept[key] = value
        self.bytes += value.nbytes
        while self.bytes > self.limit_bytes:
            _, old = self._kept.popitem(last=False)
            self.bytes -= old.nbytes
            self.evicted += 1
        self.most_bytes = max(self.most_bytes, self.bytes)

    def drop(self, key: K) -> None:
        """Forgets what is at `key`, which is no eviction: nobody will ask for it."""
        old = self._kept.pop(key, None)
        if old is not None:
            self.bytes -= old.nbytes

    def clear(self) -> None:
        """Forgets everything; the counts stay."""
        self._kept.clear()
        self.bytes = 0
