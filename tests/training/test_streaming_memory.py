"""Image files larger than the memory of a task are streamed: its peak stays within the grant."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TESTS = Path(__file__).parents[1]
SIDE, N_IMAGES = 64, 4000
DATA_MB, GRANT_MB = N_IMAGES * 3 * SIDE**2 / 2**20, 40.0


@pytest.fixture
def images(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(
        tmp_path / "0.ppm"
    )
    content = (tmp_path / "0.ppm").read_bytes()
    for number in range(1, N_IMAGES):
        (tmp_path / f"{number}.ppm").write_bytes(content)
    return tmp_path


def test_images_larger_than_the_memory_granted_stream(images: Path) -> None:
    script = TESTS / "benchmarks" / "streaming.py"
    options = ["--epochs=1", "--members=2", "--model=logistic", "--evaluation-batch=128"]
    command = [sys.executable, str(script), f"--folder={images}", f"--grant={GRANT_MB}", *options]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert DATA_MB > GRANT_MB
    assert (found["feed"], found["growth_mb"] < GRANT_MB) == ("streamed", True), found
