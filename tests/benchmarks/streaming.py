"""Cost and savings of streaming: peak memory and time of training on image files, resident against streamed.

Each run is a process of its own. It writes how much its peak resident size grew while models were trained and
evaluated. Streamed runs are granted --memory-mb, half of it for inputs; resident runs are granted enough for
all. There are so many images that the decoded data set is --times as large as the grant. `time_ratio` is
streamed over resident seconds, the median over pairs taken in turn. The resident run decodes every image
once; the streamed run decodes it once for each epoch and evaluation.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import median_ratio, parse, show
from PIL import Image

from pipeline.core.fingerprint import digest_arrays
from pipeline.core.resources import Grant
from pipeline.data.examples import Examples
from pipeline.data.image_files import ImageFiles
from pipeline.data.scaling import Scaling
from pipeline.models import MODELS
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, compute_logits
from pipeline.training.feeds import open_feed
from pipeline.training.populations import train_members
from pipeline.training.recipe.recipe import Recipe

# Number of images with different content; further files repeat their bytes.
DIFFERENT = 16
MB = 2**20


def write_images(folder: Path, n_images: int, side: int) -> None:
    """Write n_images files of (side, side, 3) pixels."""
    rng, folder = np.random.default_rng(0), Path(folder)
    folder.mkdir()
    for number in range(min(DIFFERENT, n_images)):
        pixels = rng.integers(0, 255, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:07d}.ppm")
    for number in range(DIFFERENT, n_images):
        (folder / f"{number:07d}.ppm").write_bytes((folder / f"{number % DIFFERENT:07d}.ppm").read_bytes())


def train_once(
    folder: Path, memory_mb: float, n_points: int | None, epochs: int, members: int, model: str
) -> dict[str, object]:
    """Train and evaluate on the first n_points images of a folder.

    Return seconds, the feed and a digest of the logits.
    """
    names = sorted(path.name for path in folder.iterdir())[:n_points]
    inputs = ImageFiles(folder, names)
    n_train, labels = len(names) * 4 // 5, np.arange(len(names)) % 4
    examples = Examples(
        inputs=inputs, labels=labels, n_train=n_train, n_classes=4, scaling=Scaling(divide_by=255)
    )
    _ = examples.digest
    begun = time.perf_counter()
    feed, choice = open_feed(examples, grant=Grant(memory_bytes=int(memory_mb * MB)))
    build = Builder(MODELS.build({"name": model}), examples.input_shape, 4)
    masks = np.ones((members, n_train), bool)
    recipe = Recipe(epochs=epochs, batch_size=64, learning_rate=0.01)
    states = train_members(build, recipe, feed, masks=masks, seeds=range(members), kind="stacked")
    logits = compute_logits(build(), states, feed, kind="stacked")
    return {
        "seconds": time.perf_counter() - begun,
        "feed": choice.kind,
        "logits": digest_arrays({"logits": logits}),
    }


def peak_mb() -> float:
    """Return the largest resident size that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_here(arguments: argparse.Namespace) -> None:
    """Train in this process and print how much its peak memory grew.

    A run on a few images comes first, to load what training needs.
    """
    torch.set_num_threads(1)
    sizing.EVALUATION_BATCH = arguments.evaluation_batch
    folder, rest = Path(arguments.folder), (arguments.epochs, arguments.members, arguments.model)
    train_once(folder, arguments.grant, 2 * arguments.evaluation_batch, *rest)
    before = peak_mb()
    found = train_once(folder, arguments.grant, None, *rest)
    print(json.dumps(found | {"growth_mb": peak_mb() - before}))


def measure(arguments: argparse.Namespace, folder: Path, grant: float) -> dict[str, float]:
    """Return what a process of its own measured with a grant in MB."""
    told = ["epochs", "members", "model", "evaluation_batch"]
    options = [f"--{name.replace('_', '-')}={getattr(arguments, name)}" for name in told]
    command = [sys.executable, __file__, f"--folder={folder}", f"--grant={grant}", *options]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure both feeds in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory-mb", type=float, default=256.0, help="memory granted to streamed runs")
    parser.add_argument(
        "--times", type=float, default=2.0, help="how many times larger than that the data set is"
    )
    parser.add_argument("--side", type=int, default=64, help="pixels of a side")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--members", type=int, default=10, help="models stacked")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--evaluation-batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--grant", type=float, help=argparse.SUPPRESS)
    smallest = {"memory_mb": 40.0, "times": 1.5, "epochs": 1, "members": 2, "model": "logistic", "repeats": 1}
    arguments = parse(parser, **smallest, evaluation_batch=128)
    if arguments.folder is not None:
        measure_here(arguments)
        return
    n_images = int(arguments.times * arguments.memory_mb * MB / (3 * arguments.side**2))
    runs: dict[str, list[dict[str, float]]] = {"resident": [], "streamed": []}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder) / "images", n_images, arguments.side)
        for _ in range(arguments.repeats):
            for name, grant in (
                ("resident", 8 * arguments.times * arguments.memory_mb),
                ("streamed", arguments.memory_mb),
            ):
                runs[name].append(measure(arguments, Path(folder) / "images", grant))
    seconds = {name: [found["seconds"] for found in several] for name, several in runs.items()}
    figures = {
        "data_mb": n_images * 3 * arguments.side**2 / MB,
        "limit_mb": arguments.memory_mb,
        "growth_mb": {name: max(found["growth_mb"] for found in several) for name, several in runs.items()},
        "feeds": {name: several[0]["feed"] for name, several in runs.items()},
        "seconds": seconds,
        "time_ratio": median_ratio(seconds["streamed"], seconds["resident"]),
        "identical": len({found["logits"] for several in runs.values() for found in several}) == 1,
    }
    show("streaming", {**figures, "settings": vars(arguments)})


if __name__ == "__main__":
    main()
