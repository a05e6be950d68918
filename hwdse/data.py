"""Images with labels, or text, in three splits that never share an image or a byte: calibration, search, test.

A search that saw the test images would report its own luck. Which image is in which split is
fixed by the seed, and every split has a digest, so that a result says what it was measured on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hwdse.images import Preparation, list_folder, read_archive, read_images
from hwdse.text import CONTEXT, Encode, byte_codes, parts, read, sequences

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Which images, or which text, a study uses, and how they are prepared and split."""

    name: str  # digits, archive, folder or text
    path: Path | None = None  # of the archive, the folder or the text
    calibration_path: Path | None = None  # of another one, for calibration alone
    calibration: int = 256  # images, or sequences of a text, here and in the next two
    search: int | None = None  # archives and folders need it; of a text None is all of its part
    test: int | None = None  # None is all that the others leave
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # see `images.Preparation`
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: int | None = None
    crop: int | None = None
    seed: int = 0  # of the split
    context: int = CONTEXT  # tokens in a sequence of a text

    def __post_init__(self) -> None:
        if self.name not in USED:
            raise ValueError(f"no data {self.name!r}; known: {', '.join(known_data())}")
        for split in ("calibration", "search", "test"):
            count, least = getattr(self, split), _least(self.name, split)
            if count is not None and count < least:
                what = ("sequence" if self.name == "text" else "image") + "s" * (least > 1)
                raise ValueError(f"the {split} split has at least {least} {what}, not {count}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"the seed of a split is 0 to 2**32 - 1, not {self.seed}")
        if self.context < 1:
            raise ValueError(f"a sequence of a text has at least 1 token, not {self.context}")
        _ = self.preparation  # it checks its own fields
        self._check_unused()
        if self.name == "text" and self.path is None:
            raise ValueError("the data text needs 'path'")
        if self.name not in ("archive", "folder"):
            return
        if self.path is None or self.search is None:
            raise ValueError(f"the data {self.name} needs {'path' if self.path is None else 'search'!r}")
        if self.calibration_path is not None and self.calibration_path.resolve() == self.path.resolve():
            raise ValueError(f"calibration_path is other data than path, not {self.path} twice")

    def _check_unused(self) -> None:
        """ValueError for a field that says nothing of this data."""
        rule, used = USED[self.name]
        for field in fields(self):
            if field.name not in used and getattr(self, field.name) != field.default:
                raise ValueError(f"the data {self.name} {rule}, without {field.name!r}")

    @property
    def preparation(self) -> Preparation:
        """How pixels become the input of the network."""
        return Preparation(self.mean, self.std, self.resize, self.crop)


def _least(data: str, split: str) -> int:
    """How many images or sequences a split has at least: of one sequence alone a loss has no interval."""
    return 2 if data == "text" and split != "calibration" else 1


class Labelled(Protocol):
    """Images with labels, or tokens with the next ones, read in batches, from memory or from disk."""

    @property
    def name(self) -> str:
        """train, calibration, search or test."""

    @property
    def labels(self) -> Tensor:
        """`n` int64 classes of images, or `n x context` tokens that come next."""

    @property
    def digest(self) -> str:
        """16 hex digits of the images, as a network sees them, and the labels."""

    def __len__(self) -> int:
        """`n`: images or sequences."""

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images `size x C x H x W` float32 and labels `size`, in order; the last batch may be smaller.

        Of a text, tokens `size x context` int64 and the tokens after each.
        """


@dataclass(frozen=True, eq=False)  # a tensor has no truth value to compare by, and `digest` needs a place to be kept
class Split:
    """Images, or a text, that fit in memory: a `Labelled`."""

    name: str
    images: Tensor  # n x C x H x W float32, or tokens n x context int64
    labels: Tensor  # n int64, or n x context

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Labelled`."""
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)

    @cached_property
    def digest(self) -> str:
        """See `Labelled`."""
        hashed = blake2b(repr(tuple(self.images.shape)).encode(), digest_size=8)
        for tensor in (self.images, self.labels):
            hashed.update(tensor.contiguous().numpy().tobytes())
        return hashed.hexdigest()


@dataclass(frozen=True, eq=False)
class FolderSplit:
    """Images that stay on disk until their batch is due: a `Labelled`."""

    name: str
    files: tuple[Path, ...]
    labels: Tensor  # n int64
    preparation: Preparation

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Labelled`; a broken file is a `ValueError` that names it."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield read_images(self.files[part], self.preparation), self.labels[part]

    @cached_property
    def digest(self) -> str:
        """See `Labelled`; of the contents of all files, so its first call reads them."""
        hashed = blake2b(repr(self.preparation).encode(), digest_size=8)
        for file in self.files:
            hashed.update(blake2b(file.read_bytes()).digest())
        hashed.update(self.labels.numpy().tobytes())
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class Data:
    """The splits of one data set; no image, and no predicted token, is in two of calibration, search and test."""

    calibration: Labelled
    search: Labelled
    test: Labelled
    classes: int
    train: Split | None = None  # calibration is its beginning


def known_data() -> tuple[str, ...]:
    """The names that a `DataSpec` may have."""
    return tuple(USED)


def load(spec: DataSpec, encode: Encode = byte_codes) -> Data:
    """The splits of `spec`; a source that is missing, broken or too small is a `ValueError`.

    `encode` makes the tokens of a text; without one they are its bytes.
    """
    return _text(spec, encode) if spec.name == "text" else LOADERS[spec.name](spec)


def stratified_order(labels: Indices, seed: int) -> Indices:
    """A permutation of the images, every slice of which has the classes in about their proportions.

    Each class is shuffled and spread evenly over [0, 1); the images are then sorted by where they
    fell. `RandomState` and not `default_rng`, because numpy keeps its stream the same for ever.
    """
    random = np.random.RandomState(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        place[members] = (random.permutation(len(members)) + 0.5) / len(members)
    return np.lexsort((random.random_sample(len(labels)), place))


def _cut(order: Indices, sizes: tuple[int | None, ...], source: str) -> list[Indices]:
    """Consecutive parts of `order`; a size of None, which comes last, is all that is left."""
    needed = sum(1 if size is None else size for size in sizes)
    if len(order) < needed:
        raise ValueError(f"the splits take at least {needed} images, but {source} has {len(order)}")
    parts: list[Indices] = []
    for size in sizes:
        parts.append(order[:size])
        order = order[len(parts[-1]) :]
    return parts


def _digits(spec: DataSpec) -> Data:
    """8 x 8 grey images of scikit-learn: 450 to test, 450 to search, 897 to train."""
    from sklearn.datasets import load_digits  # no other loader needs it, and it takes a second

    bunch = load_digits()
    images = torch.from_numpy(bunch.images[:, None].astype(np.float32) / 16)  # grey values are 0 to 16
    labels = torch.from_numpy(bunch.target.astype(np.int64))

    def split(name: str, part: Indices) -> Split:
        return Split(name, images[part], labels[part])

    test, search, train = _cut(stratified_order(labels.numpy(), 0), (450, 450, None), "digits")
    (calibration,) = _cut(train, (spec.calibration,), "the train split of digits")
    held_out = split("calibration", calibration), split("search", search), split("test", test)
    return Data(*held_out, 10, split("train", train))


@dataclass(frozen=True, eq=False)
class _Source:
    """An archive or folder that was opened."""

    labels: Indices
    classes: int
    split: Callable[[str, Indices], Labelled]  # of a name and the images to take


def _archive(path: Path, preparation: Preparation) -> _Source:
    pixels, labels = read_archive(path)
    if preparation.resize is not None or preparation.crop is not None:
        pixels = np.stack([preparation.place(Image.fromarray(image), str(path)) for image in pixels])

    def split(name: str, part: Indices) -> Split:
        return Split(name, preparation.normalise(pixels[part]), torch.from_numpy(labels[part]))

    return _Source(labels, int(labels.max(initial=-1)) + 1, split)


def _folder(path: Path, preparation: Preparation) -> _Source:
    files, labels, classes = list_folder(path)

    def split(name: str, part: Indices) -> FolderSplit:
        return FolderSplit(name, tuple(files[i] for i in part), torch.from_numpy(labels[part]), preparation)

    return _Source(labels, len(classes), split)


def _load(spec: DataSpec, open_source: Callable[[Path, Preparation], _Source]) -> Data:
    assert spec.path is not None  # DataSpec saw to it
    source = other = open_source(spec.path, spec.preparation)
    order = stratified_order(source.labels, spec.seed)
    if spec.calibration_path is None:
        calibration, search, test = _cut(order, (spec.calibration, spec.search, spec.test), str(spec.path))
    else:
        other = open_source(spec.calibration_path, spec.preparation)
        shuffled = stratified_order(other.labels, spec.seed)
        (calibration,) = _cut(shuffled, (spec.calibration,), str(spec.calibration_path))
        search, test = _cut(order, (spec.search, spec.test), str(spec.path))
    splits = other.split("calibration", calibration), source.split("search", search), source.split("test", test)
    return Data(*splits, source.classes)


def _text(spec: DataSpec, encode: Encode) -> Data:
    """Sequences of a text: contiguous parts of the file, in each of which the seed says which come first."""
    assert spec.path is not None  # DataSpec saw to it
    random = np.random.RandomState(spec.seed)
    wanted = {"calibration": spec.calibration, "search": spec.search, "test": spec.test}
    made = parts(read(spec.path))
    splits: list[Split] = []
    for (name, count), part in zip(wanted.items(), (made.train, made.search, made.test), strict=True):
        tokens, following = sequences(encode(part), spec.context)
        needed = _least(spec.name, name) if count is None else count
        if len(tokens) < needed:
            of = "train" if name == "calibration" else name
            rule = f"the {name} split takes {needed} sequence{'s' * (needed > 1)} of {spec.context} tokens"
            raise ValueError(f"{rule}, but the {of} part of {spec.path} has {len(tokens)}")
        order = torch.from_numpy(random.permutation(len(tokens))[:count])
        splits.append(Split(name, tokens[order], following[order]))
    calibration, search, test = splits
    return Data(calibration, search, test, classes=1 + max(int(split.labels.max()) for split in splits))


LOADERS: dict[str, Callable[[DataSpec], Data]] = {
    "digits": _digits,
    "archive": lambda spec: _load(spec, _archive),
    "folder": lambda spec: _load(spec, _folder),
}
_IMAGES = ("name", "path", "calibration_path", "calibration", "search", "test", "mean", "std", "resize", "crop", "seed")
USED: dict[str, tuple[str, tuple[str, ...]]] = {  # data -> the rule of what it takes, and the fields that it reads
    "digits": ("has a fixed split and preparation", ("name", "calibration")),
    "archive": ("is of images", _IMAGES),
    "folder": ("is of images", _IMAGES),
    "text": ("is of sequences", ("name", "path", "calibration", "search", "test", "seed", "context")),
}
