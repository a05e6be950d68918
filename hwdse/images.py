"""Reads images from an archive or a folder and prepares them for a network.

The preparation is torchvision's (resize, centre crop, divide by 255, normalise), without needing
torchvision.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})  # torchvision's


@dataclass(frozen=True, slots=True)
class Preparation:
    """How pixels become the input of a network."""

    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # subtracted per channel from pixels in [0, 1]
    std: tuple[float, ...] = (1.0, 1.0, 1.0)  # divided by, after that
    resize: int | None = None  # pixels of the shorter side, bilinear with antialiasing
    crop: int | None = None  # pixels of the square taken from the centre

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"images have a mean and a std above 0 for 3 channels, not {self.mean} and {self.std}")
        for name, value in (("resize", self.resize), ("crop", self.crop)):
            if value is not None and value < 1:
                raise ValueError(f"the {name} of images is at least 1 pixel, not {value}")

    def place(self, image: Image.Image, name: str) -> Pixels:
        """The RGB `image` resized and cropped, `H x W x 3`; `name` is for the error."""
        if self.resize is not None:
            width, height = (self.resize * side // min(image.size) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if self.crop is not None:
            image = _centre(image, self.crop, name)
        return np.asarray(image)

    def normalise(self, pixels: Pixels) -> Tensor:
        """`n x H x W x 3` pixels to `n x 3 x H x W` float32."""
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return images.div_(255).sub_(mean).div_(std)


def _centre(image: Image.Image, side: int, name: str) -> Image.Image:
    if side > min(image.size):
        width, height = image.size
        raise ValueError(f"a crop fits into the image: {side} pixels do not into {width} x {height} of {name}")
    left, top = (round((length - side) / 2) for length in image.size)
    return image.crop((left, top, left + side, top + side))


class Archive(NamedTuple):
    """Images that fit in memory."""

    pixels: Pixels  # n x h x w x 3
    labels: NDArray[np.int64]  # n


def read_archive(path: Path) -> Archive:
    """The `images` and `labels` of the .npz file `path`; nothing in it is executed."""
    if not path.is_file():
        raise ValueError(f"no image archive {path}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            pixels, labels = arrays["images"], arrays["labels"]
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, BadZipFile, zlib.error):
        raise ValueError(f"an image archive is an intact .npz file of 'images' and 'labels', not {path}") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        found = f"{pixels.dtype} of shape {pixels.shape}"
        raise ValueError(f"the images of an archive are uint8 of shape n x height x width x 3, not {found} in {path}")
    if labels.dtype.kind not in "iu" or labels.shape != pixels.shape[:1] or labels.min(initial=0) < 0:
        rule = "the labels of an archive are one class number per image"
        raise ValueError(f"{rule}, not {labels.dtype} of shape {labels.shape} in {path}")
    return Archive(pixels, labels.astype(np.int64))


class Folder(NamedTuple):
    """Images that stay on disk."""

    files: tuple[Path, ...]
    labels: NDArray[np.int64]  # n
    classes: tuple[str, ...]


def list_folder(path: Path) -> Folder:
    """The images under `path`, one subfolder per class, classes and files in alphabetical order."""
    if not path.is_dir():
        raise ValueError(f"no image folder {path}")
    classes = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    if not classes:
        raise ValueError(f"an image folder has a subfolder per class, but {path} has none")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(file for file in (path / name).rglob("*") if file.suffix.lower() in SUFFIXES)
        if not found:
            raise ValueError(f"every class of an image folder has an image, but {path / name} has none")
        files += found
        labels += [label] * len(found)
    return Folder(tuple(files), np.array(labels, np.int64), tuple(classes))


def read_images(files: tuple[Path, ...], preparation: Preparation) -> Tensor:
    """The images in `files`, `n x 3 x H x W` float32."""
    pixels = [_read(file, preparation) for file in files]
    for file, image in zip(files, pixels, strict=True):
        if image.shape != pixels[0].shape:
            rule = "images of one network have one size: set resize and crop"
            raise ValueError(f"{rule}; {_size(image)} of {file} is not {_size(pixels[0])} of {files[0]}")
    return preparation.normalise(np.stack(pixels))


def _read(file: Path, preparation: Preparation) -> Pixels:
    try:
        with Image.open(file) as image:
            converted = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError):  # what Pillow's readers raise on broken files
        raise ValueError(f"an image is an intact file that Pillow reads, not {file}") from None
    return preparation.place(converted, str(file))


def _size(image: Pixels) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
