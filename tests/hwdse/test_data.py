"""Data: splits are fixed, stratified and disjoint, and files that hold something else are named."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from hwdse.data import Data, DataSpec, FolderSplit, Labelled, Split, load, stratified_order
from hwdse.images import Preparation, read_archive, read_images
from tests.hwdse.real_data import cifar

DIGESTS = ["1f7922294e4d62d7", "6711f64899ad0634", "e27241882186306a"]  # calibration, search, test
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def images(split: Labelled) -> list[bytes]:
    """The images of a split, in order."""
    return [image.numpy().tobytes() for batch, _ in split.batches(100) for image in batch]


def held_out(data: Data) -> tuple[Labelled, ...]:
    """The splits that must not share an image."""
    return data.calibration, data.search, data.test


def assert_disjoint(data: Data) -> None:
    """Every image of the three splits occurs once."""
    every = [image for split in held_out(data) for image in images(split)]
    assert len(every) == sum(len(split) for split in held_out(data))
    assert len(every) == len(set(every))


def assert_in_proportion(counts: NDArray[np.int64], share: NDArray[np.float64]) -> None:
    """`counts` of the classes in a slice of `stratified_order`, given their `share` of all images.

    A slice is an interval of [0, 1), over which n images of a class lie 1/n apart: it holds n times
    its length of them, less or more than one off. So its size is off by less than the number of
    classes, and a count, against that size, by one and its share of the classes.
    """
    assert (np.abs(counts - share * counts.sum()) <= 1 + share * len(share)).all()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """60 different images of 6 x 5 pixels, 20 of each of 3 classes."""
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (60, 6, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.arange(60) % 3)
    return tmp_path / "images.npz"


@pytest.fixture
def folder(archive: Path) -> Path:
    """The images of `archive` as lossless files, one subfolder per class."""
    pixels, labels = read_archive(archive)
    for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        file = archive.parent / "images" / "abc"[label] / "deeper" / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    (archive.parent / "images" / "b" / "notes.txt").write_text("no image")
    return archive.parent / "images"


# ---- digits ----------------------------------------------------------------------------------


def test_digits_are_split_into_known_sizes() -> None:
    data = load(DataSpec("digits"))
    assert data.train is not None
    assert [len(split) for split in (data.train, *held_out(data))] == [897, 256, 450, 450]
    assert data.classes == 10
    assert_disjoint(data)


def test_digits_hold_every_image_of_scikit_learn_once() -> None:
    data = load(DataSpec("digits"))
    assert data.train is not None
    ours = sorted(image for split in (data.train, data.search, data.test) for image in images(split))
    theirs = sorted((image / 16).astype(np.float32).tobytes() for image in load_digits().images)
    assert ours == theirs


def test_digits_have_one_split_for_ever() -> None:
    digests = [split.digest for split in held_out(load(DataSpec("digits")))]
    assert digests == DIGESTS
    assert load(DataSpec("digits", calibration=100)).test.digest == DIGESTS[2]


def test_digits_calibrate_on_the_beginning_of_train() -> None:
    data = load(DataSpec("digits", calibration=100))
    assert data.train is not None
    assert images(data.calibration) == images(data.train)[:100]


@pytest.mark.parametrize("name", ["train", "calibration", "search", "test"])
def test_digits_are_stratified(name: str) -> None:
    data = load(DataSpec("digits"))
    split: Split = getattr(data, name)
    share = np.bincount(load_digits().target) / 1797
    assert split.name == name
    assert split.images.shape[1:] == (1, 8, 8)
    assert (split.images.dtype, split.labels.dtype) == (torch.float32, torch.int64)
    assert_in_proportion(np.bincount(split.labels), share)


@pytest.mark.parametrize(
    "change",
    [{"path": Path("x")}, {"search": 10}, {"test": 10}, {"seed": 1}, {"mean": MEAN}, {"std": STD}, {"resize": 8}],
    ids=lambda change: next(iter(change)),
)
def test_digits_are_fixed(change: dict[str, Any]) -> None:
    message = f"^the data digits has a fixed split and preparation, without {next(iter(change))!r}$"
    with pytest.raises(ValueError, match=message):
        DataSpec("digits", **change)


def test_digits_have_too_few_to_calibrate() -> None:
    message = "^the splits take at least 898 images, but the train split of digits has 897$"
    with pytest.raises(ValueError, match=message):
        load(DataSpec("digits", calibration=898))


# ---- splits ----------------------------------------------------------------------------------


def test_every_slice_is_stratified() -> None:
    labels = np.repeat(np.arange(4), [400, 300, 200, 100])
    order = stratified_order(labels, 7)
    assert sorted(order) == list(range(1000))
    for start, stop in ((0, 250), (250, 300), (313, 777), (999, 1000)):
        counts = np.bincount(labels[order[start:stop]], minlength=4)
        assert_in_proportion(counts, np.array([0.4, 0.3, 0.2, 0.1]))


def test_the_seed_decides_the_split() -> None:
    labels = np.repeat(np.arange(3), 50)
    assert (stratified_order(labels, 1) == stratified_order(labels, 1)).all()
    assert (stratified_order(labels, 1) != stratified_order(labels, 2)).any()


def test_batches_are_the_split_in_order() -> None:
    split = Split("search", torch.arange(7.0).view(7, 1, 1, 1), torch.arange(7))
    batches = list(split.batches(3))
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([x for x, _ in batches]), split.images)
    assert torch.equal(torch.cat([y for _, y in batches]), split.labels)


def test_a_digest_names_images_labels_and_shape_but_no_split() -> None:
    split = Split("search", torch.rand(4, 1, 2, 3), torch.tensor([0, 1, 2, 3]))
    assert replace(split, name="test").digest == split.digest
    assert replace(split, images=split.images.clone()).digest == split.digest
    others = (
        replace(split, images=split.images + 1),
        replace(split, images=split.images.view(4, 1, 3, 2)),
        replace(split, labels=split.labels.flip(0)),
    )
    assert len({split.digest, *(other.digest for other in others)}) == 4
    assert re.fullmatch("[0-9a-f]{16}", split.digest)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (lambda: DataSpec("mnist"), "no data 'mnist'; known: digits, archive, folder, text"),
        (lambda: DataSpec("digits", calibration=0), "the calibration split has at least 1 image, not 0"),
        (lambda: DataSpec("archive", search=9), "the data archive needs 'path'"),
        (lambda: DataSpec("folder", Path("x")), "the data folder needs 'search'"),
        (
            lambda: DataSpec("archive", Path("x"), Path("./x"), search=9),
            r"calibration_path is other data than path, not x twice",
        ),
        (
            lambda: DataSpec("archive", Path("x"), search=9, std=(1.0, 0.0, 1.0)),
            r"images have a mean and a std above 0 for 3 channels, not \(0.0, 0.0, 0.0\) and \(1.0, 0.0, 1.0\)",
        ),
        (lambda: DataSpec("archive", Path("x"), search=9, crop=0), "the crop of images is at least 1 pixel, not 0"),
        (
            lambda: DataSpec("archive", Path("x"), search=9, seed=-1),
            r"the seed of a split is 0 to 2\*\*32 - 1, not -1",
        ),
    ],
)
def test_a_spec_is_checked_when_it_is_made(spec: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        spec()


# ---- archives and folders --------------------------------------------------------------------


def test_an_archive_is_split(archive: Path) -> None:
    data = load(DataSpec("archive", archive, calibration=12, search=18))
    assert [len(split) for split in held_out(data)] == [12, 18, 30]
    assert [split.labels.bincount().tolist() for split in held_out(data)] == [[4] * 3, [6] * 3, [10] * 3]
    assert (data.classes, data.train) == (3, None)
    assert_disjoint(data)


def test_two_archives_calibrate_on_the_second(archive: Path) -> None:
    other = archive.with_name("other.npz")
    np.savez(other, images=np.full((9, 6, 5, 3), 7, np.uint8), labels=np.arange(9) % 3)
    data = load(DataSpec("archive", archive, other, calibration=6, search=20, test=40))
    assert [len(split) for split in held_out(data)] == [6, 20, 40]
    assert all(torch.equal(x, torch.full_like(x, 7) / 255) for x, _ in data.calibration.batches(4))


def test_a_folder_is_split_like_its_archive(archive: Path, folder: Path) -> None:
    # Both sort by class within a seeded shuffle; the folder lists the classes one after the other.
    _, labels = read_archive(archive)
    spec = DataSpec("folder", folder, calibration=12, search=18, mean=MEAN, std=STD)
    data = load(spec)
    assert isinstance(data.search, FolderSplit)
    assert [len(split) for split in held_out(data)] == [12, 18, 30]
    assert_disjoint(data)
    of_archive = load(replace(spec, name="archive", path=archive))
    pairs = [
        {(x.numpy().tobytes(), int(y)) for s in held_out(d) for b, c in s.batches(7) for x, y in zip(b, c, strict=True)}
        for d in (data, of_archive)
    ]
    assert pairs[0] == pairs[1]
    assert len(labels) == len(pairs[0])


def test_the_digest_of_a_folder_sees_files_and_preparation(folder: Path) -> None:
    spec = DataSpec("folder", folder, calibration=12, search=18)
    digest = load(spec).search.digest
    assert load(spec).search.digest == digest
    assert load(replace(spec, mean=MEAN)).search.digest != digest
    search = load(spec).search
    assert isinstance(search, FolderSplit)
    Image.new("RGB", (5, 6)).save(search.files[3])
    assert load(spec).search.digest != digest


def test_normalised_pixels() -> None:
    pixels = np.array([[[[0, 51, 255], [255, 0, 102]]]], np.uint8)
    expected = (torch.tensor([[0.0, 1.0], [0.2, 0.0], [1.0, 0.4]]) - 0.5) / torch.tensor([[1.0], [2.0], [4.0]])
    found = Preparation((0.5, 0.5, 0.5), (1.0, 2.0, 4.0)).normalise(pixels)
    assert found.shape == (1, 3, 1, 2)
    assert torch.equal(found[0, :, 0], expected)


def test_resize_and_crop_keep_the_centre() -> None:
    rows, columns = np.mgrid[0:40, 0:60].astype(np.uint8)
    image = Image.fromarray(np.stack([rows, columns, rows], axis=-1))
    cropped = Preparation(crop=10).place(image, "x")
    assert (cropped[..., 0] == np.arange(15, 25)[:, None]).all()
    assert (cropped[..., 1] == np.arange(25, 35)).all()
    assert Preparation(resize=20).place(image, "x").shape == (20, 30, 3)
    assert Preparation(resize=20, crop=16).place(image, "x").shape == (16, 16, 3)


def test_an_archive_is_cropped(archive: Path) -> None:
    data = load(DataSpec("archive", archive, calibration=12, search=18, crop=4))
    pixels, _ = read_archive(archive)
    expected = {image.tobytes() for image in pixels[:, 1:5, 0:4]}  # 0.5 pixel is rounded to even, as torchvision does
    found = {np.uint8(image.permute(1, 2, 0) * 255 + 0.5).tobytes() for x, _ in data.test.batches(9) for image in x}
    assert found < expected


# ---- bad sources -----------------------------------------------------------------------------


def save(path: Path, **arrays: Any) -> None:
    """An archive with these arrays."""
    np.savez(path, **arrays)


def save_bare(path: Path) -> None:
    """One array, not an archive of arrays."""
    with path.open("wb") as file:
        np.save(file, black(9))


def black(*shape: int) -> Any:
    """Pixels."""
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: None, "no image archive {p}"),
        (
            save_bare,
            "an image archive is an intact .npz file of 'images' and 'labels', not {p}",
        ),
        (lambda p: p.write_bytes(b"x"), "an image archive is an intact .npz file of 'images' and 'labels', not {p}"),
        (
            lambda p: save(p, images=black(9, 2, 2, 3)),
            "an image archive is an intact .npz file of 'images' and 'labels', not {p}",
        ),
        (
            lambda p: save(p, images=np.array([{}], object), labels=black(1)),
            "an image archive is an intact .npz file of 'images' and 'labels', not {p}",
        ),
        (
            lambda p: save(p, images=black(9, 2, 2), labels=black(9)),
            "the images of an archive are uint8 of shape n x height x width x 3, not uint8 of shape (9, 2, 2) in {p}",
        ),
        (
            lambda p: save(p, images=black(9, 2, 2, 3), labels=black(8)),
            "the labels of an archive are one class number per image, not uint8 of shape (8,) in {p}",
        ),
        (
            lambda p: save(p, images=black(9, 2, 2, 3), labels=np.zeros(9)),
            "the labels of an archive are one class number per image, not float64 of shape (9,) in {p}",
        ),
        (
            lambda p: save(p, images=black(9, 2, 2, 3), labels=black(9)),
            "the splits take at least 265 images, but {p} has 9",
        ),
    ],
)
def test_a_bad_archive(write: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    write(path)
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(p=path))}$"):
        load(DataSpec("archive", path, search=8))


def test_a_truncated_archive(archive: Path) -> None:
    content = archive.read_bytes()
    for size in (10, 100, len(content) // 2, len(content) - 30):
        archive.write_bytes(content[:size])
        message = f"^an image archive is an intact .npz file of 'images' and 'labels', not {archive}$"
        with pytest.raises(ValueError, match=message):
            read_archive(archive)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^no image folder {tmp_path / 'x'}$"):
        load(DataSpec("folder", tmp_path / "x", search=8))


def test_a_folder_without_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^an image folder has a subfolder per class, but {tmp_path} has none$"):
        load(DataSpec("folder", tmp_path, search=8))


def test_a_class_without_images(folder: Path) -> None:
    (folder / "d").mkdir()
    message = f"^every class of an image folder has an image, but {folder / 'd'} has none$"
    with pytest.raises(ValueError, match=message):
        load(DataSpec("folder", folder, search=8))


def test_a_file_that_is_no_image(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    with pytest.raises(ValueError, match=f"^an image is an intact file that Pillow reads, not {file}$"):
        read_images((file,), Preparation())


def test_images_of_two_sizes(tmp_path: Path) -> None:
    files = (tmp_path / "a.png", tmp_path / "b.png")
    Image.new("RGB", (4, 3)).save(files[0])
    Image.new("RGB", (5, 3)).save(files[1])
    rule = "images of one network have one size: set resize and crop"
    with pytest.raises(ValueError, match=f"^{rule}; 5 x 3 of {files[1]} is not 4 x 3 of {files[0]}$"):
        read_images(files, Preparation())


def test_a_crop_beyond_the_image(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (40, 30)).save(file)
    message = f"^a crop fits into the image: 32 pixels do not into 40 x 30 of {file}$"
    with pytest.raises(ValueError, match=message):
        read_images((file,), Preparation(crop=32))


# ---- real images -----------------------------------------------------------------------------


def test_real_cifar_splits() -> None:
    source = cifar()
    data = load(
        DataSpec(
            "archive", source / "test-3000.npz", source / "train-1000.npz", search=1000, test=2000, mean=MEAN, std=STD
        )
    )
    assert [len(split) for split in held_out(data)] == [256, 1000, 2000]
    assert [split.labels.bincount().tolist() for split in held_out(data)[1:]] == [[100] * 10, [200] * 10]
    assert_disjoint(data)
