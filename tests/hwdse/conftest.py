"""What several tests need and is slow to start."""

from collections.abc import Iterator

import pytest

from tests.hwdse import postgresql


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.PostgreSql]:
    """A PostgreSQL server; the test is skipped where there is none."""
    with postgresql.postgresql() as started:
        yield started
