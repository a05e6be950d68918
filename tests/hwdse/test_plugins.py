"""A plug-in is found by the name of its file, also where the name is written with hyphens."""

import pytest

from hwdse.plugins import named, names
from hwdse.technique import Technique

FOLDER = "hwdse.techniques"


def test_a_hyphen_stands_for_what_a_file_has_in_its_place() -> None:
    assert named(FOLDER, Technique, "learned-rounding") is named(FOLDER, Technique, "learned_rounding")  # type: ignore[type-abstract]


def test_an_unknown_name_is_said_as_it_was_written() -> None:
    with pytest.raises(ValueError, match=f"^no technique 'learnt-rounding'; known: {', '.join(names(FOLDER))}$"):
        named(FOLDER, Technique, "learnt-rounding")  # type: ignore[type-abstract]
