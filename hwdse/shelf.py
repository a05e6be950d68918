"""Tensors that the processes of one machine share: what one of them has made, the others read.

Each entry is a file, which appears whole or not at all. It is mapped into memory when it is read, so that all
processes together hold it once.
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


class Shelf:
    """Entries in `folder`, made when it is needed; what is on it is a function of its key, whoever made it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """The tensors that were put at `key`, not to be written to; None if nobody has made them yet."""
        try:
            found: dict[str, Any] = torch.load(self._path(key), mmap=True, weights_only=True)
        except FileNotFoundError:
            return None
        return found

    def put(self, key: str, parts: Mapping[str, Any]) -> None:
        """Puts tensors there, and text that belongs to them."""
        self._folder.mkdir(exist_ok=True)
        with NamedTemporaryFile(dir=self._folder, suffix=".new", delete=False) as file:
            torch.save(dict(parts), file)
        os.replace(file.name, self._path(key))

    def _path(self, key: str) -> Path:
        return self._folder / blake2b(key.encode(), digest_size=16).hexdigest()


class Shelved(Bounded[K, V]):
    """A bounded cache of dataclasses of the type `kind` with a shelf behind it, on which everything stays."""

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
