"""Things that a TOML file each describes, found by the file's name: devices and boards."""

import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Folder(Generic[T]):
    """A folder of such files in a package, and how a thing is made of its name and the values in its file."""

    package: str
    folder: str
    what: str  # in words
    keys: tuple[str, ...]
    make: Callable[[str, dict[str, Any]], T]
    optional: Collection[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all things."""
        found = (files(self.package) / self.folder).iterdir()
        return tuple(sorted(f.name.removesuffix(".toml") for f in found if f.name.endswith(".toml")))

    def read(self, name: str) -> T:
        """The thing called `name`; ValueError lists the known ones, or names the file that is wrong."""
        if name not in self.names:
            raise ValueError(f"no {self.what} {name!r}; known: {', '.join(self.names)}")
        file = files(self.package) / self.folder / f"{name}.toml"
        try:
            return self.make(name, self._values(file.read_bytes()))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from None

    def _values(self, content: bytes) -> dict[str, Any]:
        """The values in a file, of all keys and no others."""
        try:
            data = tomllib.loads(content.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"cannot be read as TOML: {error}") from None
        for key in data:  # first: a misspelt key is why another one is missing
            if key not in self.keys:
                raise ValueError(f"no key {key!r}; known: {', '.join(self.keys)}")
        for key in self.keys:
            if key not in data and key not in self.optional:
                raise ValueError(f"key {key!r} is missing; known: {', '.join(self.keys)}")
        return data
