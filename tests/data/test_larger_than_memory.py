"""A stream of more data than its process may hold: split, unlearned, audited in flat memory."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

SIDE, IMAGES = 96, 540  # of a file: 15 MB of 8-bit images
BYTES = SIDE * SIDE * 3
SOME, MANY = 10, 72  # files
ROOM = 470 * 2**20  # bytes that the process may take on top of what its libraries take
ALLOWED = 0.1  # of the bytes that the large stream has more than the small one

JOB = """
import json, pathlib, resource, sys

import keras
import numpy as np
import tensorflow as tf

from tfunlearn import audit, data, methods
from tfunlearn.data import stream_source

stream_source.WINDOW = 128  # shuffled together, so that both runs fill several windows
folder, count, side, held = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:4]), sys.argv[4]
room, limit = int(sys.argv[5]), 0


def used(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def peak():
    return used("VmHWM")


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
if room:
    limit = used("VmData") + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
split = data.ForgetSplit.from_dataset(train, forget=range(60), test=test)
if held == "held":
    kept = []
    for images, _ in train.as_numpy_iterator():
        kept.append(images)
        print("holds", sum(part.nbytes for part in kept), flush=True)
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
print(json.dumps([split.size("retain"), len(report.rows), limit, peaks]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="streams train on TF"),
    pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="reads /proc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Many files of training images, and one of test images: TFRecords of a label and pixels."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("records")
    numbers = np.random.default_rng(0)
    for name, count in [("test", 60), *((f"train{k:02}", IMAGES) for k in range(MANY))]:
        labels = numbers.integers(0, 10, count, "uint8")
        images = numbers.integers(0, 256, (count, BYTES), "uint8")
        with tf.io.TFRecordWriter(str(folder / f"{name}.tfrecord")) as writer:
            for label, image in zip(labels, images, strict=True):
                writer.write(label.tobytes() + image.tobytes())
    yield folder
    shutil.rmtree(folder)


def run(folder, files, held, room):
    """Runs the job on some of the files, in a process that may take so many bytes more, or 0."""
    small_stacks = ["sh", "-c", 'ulimit -s 2048; exec "$@"', "sh"]  # those of threads count as data
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
    threads |= {f"TF_NUM_{name}_THREADS": "2" for name in ("INTRAOP", "INTEROP")}
    job = [sys.executable, "-c", JOB, str(folder), *map(str, (files, SIDE, held, room))]
    return subprocess.run(
        [*small_stacks, *job],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **threads, "MALLOC_ARENA_MAX": "2"},  # what comes and goes blurs it
    )


def peaks(folder, files, held="streamed", room=0):
    """Returns the limit, and the peak of resident memory after each stage, in bytes."""
    done = run(folder, files, held, room)
    assert done.returncode == 0, done.stderr[-2000:]
    retained, rows, limit, found = json.loads(done.stdout.splitlines()[-1])
    assert (retained, rows) == (files * IMAGES - 60, 4)
    return limit, found


@pytest.fixture(scope="module")
def small(folder):
    """Peaks on some files: enough for tf.data to read ahead as many batches as it ever does."""
    return peaks(folder, SOME)[1]


def test_more_data_than_the_process_may_hold_takes_no_more_memory(folder, small):
    limit, found = peaks(folder, MANY, room=ROOM)
    assert sum(file.stat().st_size for file in folder.glob("train*")) > limit > ROOM
    further = (MANY - SOME) * IMAGES * BYTES
    shares = {stage: (found[stage] - small[stage]) / further for stage in small}
    assert max(shares.values()) < ALLOWED, shares


def test_images_that_are_kept_would_be_seen(folder, small):
    """The measure itself: a run that holds all images at once has their memory on top."""
    found = peaks(folder, SOME, "held")[1]
    shares = {stage: (found[stage] - small[stage]) / (SOME * IMAGES * BYTES) for stage in small}
    assert shares["start"] < 0.1
    assert min(shares[stage] for stage in ("split", "finetune", "audit")) > 0.7, shares


def test_images_that_are_kept_would_break_the_limit(folder):
    done = run(folder, MANY, "held", ROOM)
    assert done.returncode != 0
    held = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("holds")]
    assert 0.3 * ROOM < held[-1] < ROOM  # not before, and for no other reason
    words = ("MemoryError", "bad_alloc", "RESOURCE_EXHAUSTED", "ResourceExhausted", "allocate")
    assert any(word in done.stderr for word in words), done.stderr[-2000:]
