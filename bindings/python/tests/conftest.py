"""Tests run against the package beside them and the repository's build."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import usp  # noqa: E402

# What a shell runs in the background ignores it; tests of interruptions do not.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def photos(tmp_path, request):
    """Six pictures of two classes, of the height and width that a module calls PHOTOS."""
    height, width = getattr(request.module, "PHOTOS", (20, 24))
    draw = np.random.default_rng(1)
    for index in range(6):
        folder = tmp_path / "photos" / ("cat" if index < 4 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (height, width, 3), np.uint8)
        usp.images.save(folder / f"{index}.png", pixels)
    return tmp_path / "photos"
