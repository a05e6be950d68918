"""Text: fixed parts of a file that share no predicted byte, and files that hold something else are named."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwdse.data import Data, DataSpec, Split, load
from hwdse.text import byte_codes, parts, read, sequences

VERSE = "".join(f"line {i}: the quick brown fox, naïve and {i * i}\n" for i in range(400))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A text of 400 different lines, of which one character in 45 is two bytes."""
    path = tmp_path / "text.txt"
    path.write_text(VERSE, encoding="utf-8")
    return path


def spec(file: Path, **fields: int | None) -> DataSpec:
    return replace(DataSpec("text", file, calibration=16, context=32), **fields)  # type: ignore[arg-type]


def split(data: Data, name: str) -> Split:
    found = {"calibration": data.calibration, "search": data.search, "test": data.test}[name]
    assert isinstance(found, Split)
    return found


def test_the_parts_are_fixed_shares_of_the_file_and_whole_characters() -> None:
    content = VERSE.encode()
    train, search, test = parts(content)
    assert train + search + test == content
    assert all(part.decode() for part in (train, search, test))
    # A boundary moves by less than the longest character.
    assert [round(len(part) / len(content), 2) for part in (train, search, test)] == [0.9, 0.05, 0.05]


def test_each_byte_but_the_first_is_predicted_once() -> None:
    tokens, following = sequences(byte_codes(b"abcdefgh"), 3)
    assert tokens.tolist() == [[97, 98, 99], [100, 101, 102]]
    assert following.tolist() == [[98, 99, 100], [101, 102, 103]]
    assert [len(part) for part in sequences(byte_codes(b""), 3)] == [0, 0]


def test_the_splits_lie_in_their_parts(file: Path) -> None:
    data, made = load(spec(file)), parts(read(file))
    assert data.classes == 0xC3 + 1, "the diaeresis is c3 af in UTF-8, and nothing else is as large"
    for name, part in (("calibration", made.train), ("search", made.search), ("test", made.test)):
        found = split(data, name)
        assert (found.images.shape[1], found.images.dtype) == (32, torch.int64)
        for tokens, following in zip(found.images, found.labels, strict=True):
            assert bytes(tokens.tolist() + following[-1:].tolist()) in part
            assert torch.equal(tokens[1:], following[:-1])
    whole = sequences(byte_codes(made.search), 32)[0]
    assert sorted(split(data, "search").images.tolist()) == sorted(whole.tolist())


def test_sizes_take_the_first_sequences_and_the_seed_decides_which(file: Path) -> None:
    whole, few = load(spec(file)), load(spec(file, search=5, test=7, calibration=3))
    assert [len(split(few, name)) for name in ("calibration", "search", "test")] == [3, 5, 7]
    for name, count in (("calibration", 3), ("search", 5), ("test", 7)):
        assert torch.equal(split(few, name).images, split(whole, name).images[:count])
    other = load(spec(file, seed=1))
    assert not torch.equal(split(other, "search").images, split(whole, "search").images)
    assert split(other, "search").digest != split(whole, "search").digest
    assert split(load(spec(file)), "search").digest == split(whole, "search").digest


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "none.txt"
    with pytest.raises(ValueError, match=f"^the text {path} cannot be read: No such file or directory$"):
        load(DataSpec("text", path))
    path.write_bytes(b"abc\xff\xfe")
    with pytest.raises(ValueError, match=f"^a text is UTF-8, unlike byte 3 of {path}$"):
        load(DataSpec("text", path))
    path.write_bytes(b"ab\0c")
    with pytest.raises(ValueError, match=f"^a text has no zero bytes, unlike byte 2 of {path}$"):
        load(DataSpec("text", path))
    with pytest.raises(ValueError, match=f"^the text {tmp_path} cannot be read: Is a directory$"):
        load(DataSpec("text", tmp_path))


def test_a_text_that_is_too_short(file: Path) -> None:
    needs = "the search split takes 99 sequences of 32 tokens, but the search part of"
    with pytest.raises(ValueError, match=f"^{needs} {file} has [0-9]+$"):
        load(spec(file, search=99))
    few = load(spec(file, search=2, test=2))
    assert [len(split(few, name)) for name in ("search", "test")] == [2, 2]
    needs = "the calibration split takes 16 sequences of 32 tokens, but the train part of"
    file.write_text(VERSE[:1700])  # 85 bytes of search: 84 // 32 are 2 sequences, and of 48 tokens 1
    assert [len(split(load(spec(file, calibration=1)), name)) for name in ("search", "test")] == [2, 2]
    with pytest.raises(
        ValueError,
        match=f"^the search split takes 2 sequences of 48 tokens, but the search part of {file} has 1$",
    ):
        load(spec(file, calibration=1, context=48))
    with pytest.raises(
        ValueError,
        match=f"^the calibration split takes 1 sequence of 9999 tokens, but the train part of {file} has 0$",
    ):
        load(spec(file, calibration=1, context=9999))
    file.write_text("To be, or not to be")
    with pytest.raises(ValueError, match=f"^{needs} {file} has 0$"):
        load(spec(file))
    file.write_text("")
    with pytest.raises(ValueError, match=f"^{needs} {file} has 0$"):
        load(spec(file))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": None}, "the data text needs 'path'"),
        ({"resize": 8}, "the data text is of sequences, without 'resize'"),
        ({"calibration_path": Path("x")}, "the data text is of sequences, without 'calibration_path'"),
        ({"context": 0}, "a sequence of a text has at least 1 token, not 0"),
        ({"calibration": 0}, "the calibration split has at least 1 sequence, not 0"),
        ({"search": 1}, "the search split has at least 2 sequences, not 1"),
        ({"test": 1}, "the test split has at least 2 sequences, not 1"),
        ({"name": "archive", "search": 9}, "the data archive is of images, without 'context'"),
    ],
)
def test_a_spec_is_checked_when_it_is_made(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(spec(Path("text.txt")), **fields)  # type: ignore[arg-type]
