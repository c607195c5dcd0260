"""Settings of every test run: quiet and single-threaded libraries, reproducible property tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two test processes share the machine: no library may take all cores. TensorFlow reads these when imported.
for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# No deadline: an example's duration says how busy the machine is, not whether the code is right.
settings.register_profile(
    "halflife", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("halflife")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent
