"""The table of methods: what each one reads, costs and can be asked for."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import keras

Unlearning = Callable[..., keras.Model]

_RATE_ZERO = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.0}}}


@dataclass(frozen=True)
class Method:
    """One line of the table of methods.

    Attributes:
        function: the method, ``function(model, split, *, seed, epochs, ...) -> keras.Model``.
        reads: the roles that it reads; the others may hold anything.
        scope: ``"examples"``, ``"class"`` or ``"both"``.
        cost: its cost in words, in passes over a role.
        deterministic: whether it draws no random numbers, so that its seed has no effect.
        needs: what it asks of a model, in words.
        idle: options under which it changes nothing, and must say so; by default an optimizer
            with learning rate 0.
        also: option to the role that the method reads besides ``reads`` where that option is on.
    """

    function: Unlearning
    reads: frozenset[str]
    scope: Literal["examples", "class", "both"]
    cost: str
    deterministic: bool = False
    needs: str = ""
    idle: Mapping[str, Any] = field(default_factory=lambda: dict(_RATE_ZERO), repr=False)
    also: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Mapping[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.function).parameters.values()
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        object.__setattr__(self, "options", options)

    @property
    def name(self) -> str:
        """The name that the method is asked for by."""
        return self.function.__name__

    def roles(self, **options: Any) -> frozenset[str]:
        """Returns the roles that the method reads under some options.

        Args:
            **options: options that differ from the defaults.
        """
        given = {**self.options, **options}
        return self.reads | {role for name, role in self.also.items() if given[name]}

    @property
    def summary(self) -> str:
        """The first line of the method's documentation."""
        return (inspect.getdoc(self.function) or "").split("\n")[0]


def format_table(methods: list[Method]) -> str:
    """Returns methods as aligned text.

    Args:
        methods: lines of the table.
    """
    head = ("method", "reads", "scope", "seed", "cost", "needs", "effect")
    rows = [
        (m.name, _reads(m), m.scope, _seed(m), m.cost, m.needs or "-", m.summary) for m in methods
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


def _reads(method: Method) -> str:
    """Returns the roles that a method reads, and those that it reads under an option."""
    more = [f"({role} with {name})" for name, role in method.also.items()]
    return " ".join([*sorted(method.reads), *more])


def _seed(method: Method) -> str:
    """Tells whether a method draws random numbers."""
    return "no effect" if method.deterministic else "draws"
