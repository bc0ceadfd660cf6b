"""Parts of a model, an optimizer or a loss that are neither Keras' nor this package's."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras

from tfunlearn.audit.marks import source

__all__ = ["Part", "is_own", "own_parts"]


class Part(NamedTuple):
    """A class or a function of one's own.

    Attributes:
        module: The module that it is defined in.
        name: Its name there.
        registered: The name that Keras looks for when it rebuilds it.
    """

    module: str
    name: str
    registered: str

    def mark(self) -> str:
        """Returns a mark of the code around it, or its name where no code can be found."""
        found = self._here()
        return self.name if found is None else source(found)

    def importable(self) -> bool:
        """Tells whether another process could import it."""
        return self.module != "__main__" and self._here() is not None

    def load(self) -> Any:
        """Imports it.

        Raises:
            ImportError: If its module is not there.
            AttributeError: If it is not in its module.
        """
        return getattr(importlib.import_module(self.module), self.name)

    def _here(self) -> Any:
        """Returns it from the modules that are loaded, or None."""
        return getattr(sys.modules.get(self.module), self.name, None)


def is_own(module: str) -> bool:
    """Tells whether a module belongs neither to Keras nor to this package.

    Example:
        >>> is_own("keras.layers"), is_own("tfunlearn.losses"), is_own("mine")
        (False, False, True)
    """
    return module.split(".")[0] not in {"keras", "tfunlearn", "builtins"}


def own_parts(*configs: Any, loss: Any = None) -> list[Part]:
    """Returns the classes and functions of one's own that occur in Keras' serialized objects.

    Args:
        *configs: What `keras.saving.serialize_keras_object` returned.
        loss: A loss as it was given; of a function the serialized form has lost the module.

    Example:
        >>> mine = {"module": "mine", "class_name": "Layer", "registered_name": "P>Layer"}
        >>> own_parts({"layers": [{**mine, "config": {}}]})
        [Part(module='mine', name='Layer', registered='P>Layer')]
    """
    found = set(_walk(configs))
    loss = getattr(loss, "inner", loss)  # of losses.OnLabels
    if inspect.isfunction(loss):
        found.update(_function(loss, loss.__name__))
    return sorted(found)


def _walk(value: Any) -> Iterator[Part]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _walk(part)
    elif isinstance(value, Mapping):
        module, kind = value.get("module"), value.get("class_name")
        if kind == "function":
            yield from _function(
                keras.saving.get_registered_object(value["config"]), value["config"]
            )
        elif isinstance(module, str) and isinstance(kind, str) and is_own(module):
            yield Part(module, kind, value.get("registered_name") or kind)
        for part in value.values():
            yield from _walk(part)


def _function(function: Any, registered: str) -> Iterator[Part]:
    """Yields a function if it is one of one's own."""
    if function is not None and is_own(function.__module__):
        yield Part(function.__module__, function.__qualname__, registered)
