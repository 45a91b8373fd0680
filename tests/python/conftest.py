"""What a suite of the Python SDK needs to run on a served pool."""

import pytest
from served import ServedPool


@pytest.fixture(scope="session")
def plushie_pool():
    """Stands in for the fixture of the SDK's plugin, which starts a renderer of its own."""
    pool = ServedPool()
    pool.start()
    yield pool
    pool.stop()
