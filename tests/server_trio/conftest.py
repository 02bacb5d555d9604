"""What the tests of a whole server share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .whole_server import WholeServer, whole_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WholeServer]:
    """A server with the usual settings."""
    async with whole_server(tmp_path) as running:
        yield running
