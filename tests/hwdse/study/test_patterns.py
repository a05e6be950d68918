"""How a study writes formats."""

import re

import pytest

from hwdse.formats import known_formats, parse
from hwdse.study.patterns import PAIRS, expand, expand_all


def names(*patterns: str) -> list[str]:
    return [fmt.name for fmt in expand_all(patterns)]


@pytest.mark.parametrize("name", ["int4", "e2m1", "e4m3fn", "e5m2ieee", "float16", "bfloat16"])
def test_a_name_is_itself(name: str) -> None:
    assert expand(name) == (parse(name),)


def test_ranges() -> None:
    assert names("int3..5") == ["int3", "int4", "int5"]
    assert names("int2..2") == ["int2"]
    assert names("minifloat3..4") == ["e1m1", "e2m0", "e1m2", "e2m1", "e3m0"]
    assert len(names("minifloat3..8")) == 27
    assert names("int2..8", "minifloat3..8") == [fmt.name for fmt in known_formats()]


def test_names_with_wildcards() -> None:
    assert names("e2m?") == [f"e2m{m}" for m in range(6)]
    assert len(names("e*m[1-6]")) == 21  # those of the root paper
    assert names("int*") == names("int2..8")


def test_floats_of_16_bits_are_written_by_name_alone() -> None:
    assert not set(names("int*", "e*", "minifloat3..8")) & {"float16", "bfloat16"}
    for pattern in ("float*", "*float16"):
        with pytest.raises(ValueError, match=rf"^no format matches '{re.escape(pattern)}'; known: int2, .*, e7m0$"):
            expand(pattern)


def test_each_format_once_in_the_order_written() -> None:
    assert names("e2m1", "int4", "minifloat4..4") == ["e2m1", "int4", "e1m2", "e3m0"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("int9", r"^an integer format has 2 to 8 bits, not 9$"),
        ("fp8", r"^no format 'fp8'; write e.g. 'int4', 'uint8', 'e2m1', 'ue2m2', 'e4m3fn', 'e5m2ieee' or 'float16'$"),
        ("uint8", r"^formats are written signed and lose the sign where no value is negative, not 'uint8'$"),
        ("int3..9", r"^a range of formats lies within int2..8, not 'int3..9'$"),
        ("int8..3", r"^a range of formats lies within int2..8, not 'int8..3'$"),
        ("minifloat2..8", r"^a range of formats lies within minifloat3..8, not 'minifloat2..8'$"),
        ("e9*", rf"^no format matches 'e9\*'; known: {', '.join(f.name for f in known_formats())}$"),
    ],
)
def test_what_is_no_pattern(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand(pattern)


@pytest.mark.parametrize(
    ("rule", "count"),
    [("same", 27), ("equal_bits", 91 + 2 * 21 + 6), ("same_kind", 21 * 21 + 6 * 6), ("all", 27 * 27)],
)
def test_pairs(rule: str, count: int) -> None:
    formats = expand_all(("int3..8", "e*m[1-6]"))
    assert sum(PAIRS[rule](w, a) for w in formats for a in formats) == count


@pytest.mark.parametrize("rule", ["all", "activations_at_least_weights"])
def test_every_weight_format_is_a_pair_with_16_bits(rule: str) -> None:
    assert all(PAIRS[rule](fmt, parse(half)) for fmt in known_formats() for half in ("float16", "bfloat16"))


def test_pairs_of_the_root_paper() -> None:
    """266 pairs of its minifloats and 21 of its integers: the rule of the authors' benchmark."""
    rule = PAIRS["activations_at_least_weights"]
    for pattern, count in (("e*m[1-6]", 266), ("int3..8", 21)):
        assert sum(rule(w, a) for w in expand(pattern) for a in expand(pattern)) == count
