import pytest
from support.other_loops import digits_to_train


@pytest.fixture(scope="session")
def digits():
    """96 to train and 32 to validate with: (N, 1, 32, 32) and classes."""
    return digits_to_train()
