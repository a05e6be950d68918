"""Tensors that the processes of one machine share: what one of them has made, the others read.

Each entry is a file, which appears whole or not at all. A large one is mapped into memory when it is read, so that all
processes together hold it once. A shelf is a help and no more: what has no room or cannot be read is made again.
"""

import os
from collections.abc import Hashable, Mapping
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

import torch

from hwdse.bounded import Bounded, Sized

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


LARGE_BYTES = 1 << 20  # of a file, to be mapped: a process may map some ten thousand
ROOM_BYTES = 4 << 30  # that one process puts on a shelf


class Shelf:
    """Entries in `folder`, made when it is needed; `of` names what they depend on beside their keys."""

    def __init__(self, folder: Path, of: str = "", room_bytes: int = ROOM_BYTES) -> None:
        self._folder = folder
        self._of = of
        self._room = room_bytes

    def get(self, key: str) -> dict[str, Any] | None:
        """The tensors that were put at `key`, not to be written to; None if nobody has made them yet."""
        path = self._path(key)
        try:
            large = path.stat().st_size >= LARGE_BYTES
            found: dict[str, Any] = torch.load(path, mmap=large, weights_only=True)
        except (OSError, RuntimeError):  # not there, or no room to map it
            return None
        return found

    def put(self, key: str, parts: Mapping[str, Any]) -> None:
        """Puts tensors there, and text that belongs to them, as long as there is room."""
        if self._room <= 0:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, suffix=".new", delete=False) as file:
                torch.save(dict(parts), file)
            self._room -= os.path.getsize(file.name)
            os.replace(file.name, self._path(key))
        except (OSError, RuntimeError):  # the disk is full
            self._room = 0

    def _path(self, key: str) -> Path:
        return self._folder / blake2b(f"{self._of} {key}".encode(), digest_size=16).hexdigest()


class Shelved(Bounded[K, V]):
    """A bounded cache of dataclasses of the type `kind` with a shelf behind it."""

    def __init__(self, limit_bytes: int, kind: type[V], shelf: Shelf | None) -> None:
        super().__init__(limit_bytes)
        self._kind = kind
        self._shelf = shelf

    def get(self, key: K) -> V | None:
        """What was put at `key`, by whichever process."""
        value = super().get(key)
        if value is None and self._shelf is not None and (parts := self._shelf.get(repr(key))) is not None:
            value = self._kind(**parts)
            super().put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keeps `value`, for the others too."""
        super().put(key, value)
        if self._shelf is not None:
            self._shelf.put(repr(key), {field.name: getattr(value, field.name) for field in fields(value)})  # type: ignore[arg-type]
