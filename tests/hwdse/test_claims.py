"""Claims: one owner at a time, in an SQLite file and in PostgreSQL."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hwdse.claims import Claims, beating
from hwdse.store import Store


@pytest.fixture(params=["file", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = tmp_path / "store.sqlite" if request.param == "file" else request.getfixturevalue("server").url
    with Store(place) as opened:
        opened.database.write("DELETE FROM @claims")
        yield opened


def test_one_owner_at_a_time(store: Store) -> None:
    ours, theirs = Claims(store.database, "we"), Claims(store.database, "they")
    assert ours.claim("x")
    assert ours.claim("x")
    assert not theirs.claim("x")
    theirs.release("x")
    assert not theirs.claim("x")
    ours.release("x")
    assert theirs.claim("x")
    assert not ours.claim("x")


def test_the_claims_of_a_dead_owner_are_anybodys(store: Store) -> None:
    dead, alive = Claims(store.database, "dead", 0.3), Claims(store.database, "alive", 0.3)
    assert dead.claim("x")
    assert not alive.claim("x")
    time.sleep(0.4)
    assert alive.claim("x")
    assert not dead.claim("x")


def test_a_living_owner_keeps_its_claims_and_leaves_none(store: Store) -> None:
    ours, theirs = Claims(store.database, "we", 0.6), Claims(store.database, "they", 0.6)
    with beating(ours):
        assert ours.claim("x")
        for _ in range(4):
            time.sleep(0.3)
            assert not theirs.claim("x")
    assert theirs.claim("x")


def test_of_many_at_once_one_has_it(store: Store) -> None:
    owners = [Claims(store.database, f"owner {i}") for i in range(4)]
    for subject in map(str, range(20)):
        with ThreadPoolExecutor(4) as threads:
            got = list(threads.map(lambda owner: owner.claim(subject), owners))  # noqa: B023 -- used at once
        assert sum(got) == 1


def test_of_many_at_once_one_has_what_a_dead_owner_had(store: Store) -> None:
    for subject in map(str, range(20)):
        assert Claims(store.database, "dead").claim(subject)
        store.database.write("UPDATE @claims SET beat = 0 WHERE subject = ?", subject)
        owners = [Claims(store.database, f"owner {i}") for i in range(4)]
        with ThreadPoolExecutor(4) as threads:
            got = list(threads.map(lambda owner: owner.claim(subject), owners))  # noqa: B023 -- used at once
        assert sum(got) == 1
