"""Parts of a model, an optimizer or a loss that are neither Keras' nor this package's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

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


def own_parts(*configs: Any) -> list[Part]:
    """Returns the classes and functions of one's own that occur in Keras' serialized objects.

    Args:
        *configs: What `keras.saving.serialize_keras_object` returned.

    Example:
        >>> mine = {"module": "mine", "class_name": "Layer", "registered_name": "P>Layer"}
        >>> own_parts({"layers": [{**mine, "config": {}}]})
        [Part(module='mine', name='Layer', registered='P>Layer')]
    """
    return sorted(set(_walk(configs)))


def _walk(value: Any) -> Iterator[Part]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _walk(part)
    elif isinstance(value, Mapping):
        module = value.get("module")
        if isinstance(module, str) and "class_name" in value and is_own(module):
            function = value["class_name"] == "function"
            name = value["config"] if function else value["class_name"]
            yield Part(module, name, value.get("registered_name") or name)
        for part in value.values():
            yield from _walk(part)
