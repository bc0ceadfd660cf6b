"""Starting Keras and its backend without the messages that they print on the way."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


def start(*, quiet: bool = True) -> None:
    """Imports Keras and makes its backend look for devices.

    TensorFlow writes several lines on libraries and devices to file descriptor 2 then, some of
    them whatever ``TF_CPP_MIN_LOG_LEVEL`` says. They are held back, and shown only if the start
    fails. The variable is set to 3 where it is not set.

    Args:
        quiet: hold the messages back, and TensorFlow's later warnings too.

    Raises:
        ImportError: if Keras or its backend is not there.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back() if quiet else contextlib.nullcontext():
        import keras

        keras.ops.convert_to_numpy(keras.ops.zeros(1))
    if quiet:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keeps what is written to file descriptor 2, and writes it out after all if a step fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
