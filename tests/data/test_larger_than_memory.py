"""Splitting, unlearning and auditing a stream takes no more memory for ten times the data."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

SIDE, SMALL, LARGE = 96, 540, 5_400  # 15 MB and 149 MB of 8-bit images
BYTES = SIDE * SIDE * 3
# of the bytes that the large stream has more than the small one; what is left are batches that
# tf.data reads ahead in a longer run: thirty times the data takes no more than ten times
ALLOWED = 0.2

JOB = """
import json, pathlib, sys

import keras
import numpy as np
import tensorflow as tf

from tfunlearn import audit, data, methods
from tfunlearn.data import stream_source

stream_source.WINDOW = 128  # shuffled together, so that both runs fill several windows
folder, count, side, held = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:4]), sys.argv[4]


def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def stream(pattern, files):
    names = sorted(map(str, folder.glob(pattern)))[:files]

    def example(row):
        values = tf.io.decode_raw(row, tf.uint8)
        image = tf.ensure_shape(tf.reshape(values[1:], (side, side, 3)), (side, side, 3))
        return image, tf.cast(values[0], tf.int64)

    return tf.data.TFRecordDataset(names).map(example)


keras.utils.set_random_seed(0)
L = keras.layers
layers = [keras.Input((side, side, 3)), L.Rescaling(1 / 255), L.AveragePooling2D(8), L.Flatten()]
model = keras.Sequential([*layers, L.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
train, test = stream("train*", count).batch(16), stream("test*", 1)
peaks = {"start": peak()}
split = data.ForgetSplit.from_dataset(train, forget=range(60), test=test)
if held == "held":
    kept = np.concatenate([images for images, _ in train.as_numpy_iterator()])
peaks["split"] = peak()
made = {"original": model}
made["finetune"] = methods.finetune(model, split, epochs=2, batch_size=64, jit_compile=False)
peaks["finetune"] = peak()
made["neggrad_plus"] = methods.neggrad_plus(
    model, split, epochs=1, batch_size=64, learning_rate=1e-3, jit_compile=False
)
peaks["neggrad_plus"] = peak()
made["ssd"] = methods.ssd(model, split, selection=1.0, batch_size=64, jit_compile=False)
peaks["ssd"] = peak()
report = audit.compare(made, split, reference=None, batch_size=64)
peaks["audit"] = peak()
print(json.dumps([split.size("retain"), len(report.rows), peaks]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="streams train on TF"),
    pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="reads /proc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten files of training images, and one of test images, as TFRecords: a label, then pixels."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("records")
    numbers = np.random.default_rng(0)
    for name, count in [("test", 60), *((f"train{k}", SMALL) for k in range(LARGE // SMALL))]:
        labels = numbers.integers(0, 10, count, "uint8")
        images = numbers.integers(0, 256, (count, BYTES), "uint8")
        with tf.io.TFRecordWriter(str(folder / f"{name}.tfrecord")) as writer:
            for label, image in zip(labels, images, strict=True):
                writer.write(label.tobytes() + image.tobytes())
    return folder


def peaks(folder, files, held="streamed"):
    """Returns the peak of resident memory after each stage, in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(folder), str(files), str(SIDE), held],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},  # else threads that come and go blur it
    )
    assert done.returncode == 0, done.stderr[-2000:]
    retained, rows, found = json.loads(done.stdout.splitlines()[-1])
    assert (retained, rows) == (files * SMALL - 60, 4)
    return found


@pytest.fixture(scope="module")
def small(folder):
    return peaks(folder, 1)


def grown(large, small):
    """Returns by how much more memory each stage took, as a share of the further images."""
    return {stage: (large[stage] - small[stage]) / ((LARGE - SMALL) * BYTES) for stage in small}


def test_memory_does_not_grow_with_the_data(folder, small):
    shares = grown(peaks(folder, LARGE // SMALL), small)
    assert max(shares.values()) < ALLOWED, shares


def test_images_that_are_kept_would_be_seen(folder, small):
    """The measure itself: a run that holds all images at once has their memory on top."""
    shares = grown(peaks(folder, LARGE // SMALL, "held"), small)
    assert shares["start"] < ALLOWED
    assert min(shares[stage] for stage in ("split", "finetune", "audit")) > 0.7, shares
