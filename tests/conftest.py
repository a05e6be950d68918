"""Tests that are skipped for want of a GPU are those that `make test-gpu` runs."""

import pytest

WITHOUT = "needs a GPU"  # the reason of their `skipif`


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks them."""
    for item in items:
        if any(mark.kwargs.get("reason") == WITHOUT for mark in item.iter_markers("skipif")):
            item.add_marker(pytest.mark.gpu)
