import shutil

import pytest


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy of a checkpoint that a test may damage."""

    def copy(name):
        return shutil.copytree(checkpoint(name), tmp_path / name)

    return copy
