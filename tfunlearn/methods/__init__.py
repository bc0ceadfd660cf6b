"""Unlearning methods: functions from a model and a split to a new model."""

import math
from typing import Any

import keras

from tfunlearn.data import ForgetSplit
from tfunlearn.methods.assd import assd
from tfunlearn.methods.bad_teacher import BadTeacher, bad_teacher
from tfunlearn.methods.boundary_expand import boundary_expand
from tfunlearn.methods.boundary_shrink import boundary_shrink
from tfunlearn.methods.bounds import StopAtLevel
from tfunlearn.methods.certified_last_layer import CertifiedHead, certified_last_layer
from tfunlearn.methods.cf_k import cf_k
from tfunlearn.methods.ct import ct, transpose_kernels
from tfunlearn.methods.delete import DELETE, delete
from tfunlearn.methods.eu_k import eu_k
from tfunlearn.methods.fcs import FCS, fcs
from tfunlearn.methods.finetune import finetune
from tfunlearn.methods.fisher_forgetting import fisher_forgetting
from tfunlearn.methods.gradient_ascent import GradientAscent, gradient_ascent
from tfunlearn.methods.influence import influence
from tfunlearn.methods.kde import KDE, kde
from tfunlearn.methods.l1_sparse import L1Sparse, l1_sparse
from tfunlearn.methods.lfssd import lfssd
from tfunlearn.methods.msg import msg
from tfunlearn.methods.mu_mis import MUMis, mu_mis
from tfunlearn.methods.neggrad_plus import NegGradPlus, neggrad_plus
from tfunlearn.methods.negmerge import negmerge
from tfunlearn.methods.prmq import PRMQ, prmq, prune_and_draw
from tfunlearn.methods.random_labels import random_labels
from tfunlearn.methods.registry import Method, Unlearning, format_table
from tfunlearn.methods.retrain import retrain
from tfunlearn.methods.rni import rni
from tfunlearn.methods.salun import salun
from tfunlearn.methods.scrub import SCRUB, scrub
from tfunlearn.methods.sfr_on import AdaptiveAscent, sfr_on
from tfunlearn.methods.ssd import ssd
from tfunlearn.methods.svd_class import svd_class
from tfunlearn.methods.uam import uam
from tfunlearn.methods.unlearner import Unlearner
from tfunlearn.methods.unsir import unsir
from tfunlearn.methods.vision_confuser import vision_confuser

_FORGET = frozenset({"forget"})
_RETAIN = frozenset({"retain"})
_BOTH = frozenset({"forget", "retain"})

_TABLE = {
    method.name: method
    for method in (
        Method(retrain, _RETAIN, "both", "a full training on retain"),
        Method(finetune, _RETAIN, "both", "epochs x retain"),
        Method(
            vision_confuser,
            _RETAIN,
            "both",
            "epochs x retain",
            needs="convolutions",
            idle={"learning_rate": 0.0, "stddev": 1e-30},
        ),
        Method(gradient_ascent, _FORGET, "both", "epochs x forget, until it stops"),
        Method(
            delete,
            _FORGET,
            "both",
            "epochs x forget, with forward passes of the original, until it stops",
        ),
        Method(
            mu_mis,
            _FORGET,
            "class",
            "epochs x forget, backwards twice, until it stops",
        ),
        Method(
            boundary_shrink,
            _FORGET,
            "class",
            "epochs x forget, and 1 gradient of its inputs, until it stops",
        ),
        Method(
            boundary_expand,
            _FORGET,
            "class",
            "epochs x forget, until it stops",
            needs="a Dense head",
        ),
        Method(neggrad_plus, _BOTH, "both", "epochs x retain, with as many forget batches"),
        Method(
            sfr_on,
            _BOTH,
            "both",
            "epochs x retain, a forget batch to every fifth of retain, and 1 gradient of both",
            idle={"learning_rate": 0.0, "forget_rate": 0.0},
        ),
        Method(
            unsir,
            _BOTH,
            "class",
            "(epochs + 2) x a sample of retain; of forget the labels alone",
        ),
        Method(random_labels, _BOTH, "both", "epochs x forget and retain"),
        Method(uam, _BOTH, "both", "epochs x retain, with as many forget batches"),
        Method(l1_sparse, _RETAIN, "both", "epochs x retain", idle={"learning_rate": 0.0}),
        Method(
            rni,
            _RETAIN,
            "both",
            "epochs x retain",
            idle={"learning_rate": 0.0, "stddev": 0.0},
        ),
        Method(
            ct,
            _RETAIN,
            "both",
            "epochs x retain",
            needs="convolutions",
            idle={"layers": ["head"]},
        ),
        Method(cf_k, _RETAIN, "both", "epochs x retain, backwards through k layers"),
        Method(eu_k, _RETAIN, "both", "epochs x retain, backwards through k layers"),
        Method(
            svd_class,
            frozenset({"forget", "retain"}),
            "class",
            "1 x samples of forget and retain without training, one SVD a layer",
            deterministic=True,
            needs="Dense or Conv2D layers",
            idle={"alpha_forget": 0.0},
        ),
        Method(
            scrub,
            frozenset({"forget", "retain"}),
            "both",
            "epochs x retain and 3 x forget, with forward passes of the original",
            also={"rewind": "validation"},
        ),
        Method(
            prmq,
            _RETAIN,
            "both",
            "epochs x retain, with forward passes of the original",
            idle={"learning_rate": 0.0},
        ),
        Method(
            kde,
            frozenset({"retain", "validation"}),
            "both",
            "epochs x retain and 3 x validation, with forward passes of the original",
            idle={"learning_rate": 0.0},
        ),
        Method(
            msg,
            frozenset({"forget", "retain"}),
            "both",
            "epochs x retain, and 2 gradients of forget's size",
        ),
        Method(
            salun,
            frozenset({"forget", "retain"}),
            "both",
            "epochs x forget and retain, and 1 gradient of forget",
            idle={"learning_rate": 0.0},
        ),
        Method(
            negmerge,
            frozenset({"forget", "retain"}),
            "both",
            "9 x epochs x forget, with 15 forward passes of retain",
            idle={"learning_rates": [0.0]},
        ),
        Method(
            bad_teacher,
            frozenset({"forget", "retain"}),
            "both",
            "epochs x 0.3 of retain, with as much of forget and forward passes of teachers",
        ),
        Method(
            ssd,
            frozenset({"forget", "retain"}),
            "both",
            "1 x forget and retain with gradients, without training",
            deterministic=True,
            idle={"selection": math.inf},
        ),
        Method(
            lfssd,
            frozenset({"forget", "retain"}),
            "class",
            "1 x forget and retain with gradients, without training",
            deterministic=True,
            idle={"selection": math.inf},
        ),
        Method(
            assd,
            frozenset({"forget", "retain"}),
            "both",
            "1 x forget and retain with gradients, without training",
            deterministic=True,
            idle={"floor": 1.0},
        ),
        Method(
            fisher_forgetting,
            frozenset({"forget", "retain"}),
            "both",
            "classes x retain with gradients, without training",
            idle={"alpha": 0.0, "clear_head": False},
        ),
        Method(
            influence,
            frozenset({"forget", "retain"}),
            "both",
            "1 x forget and retain with gradients, without training",
            deterministic=True,
            idle={"alpha": 0.0},
        ),
        Method(
            fcs,
            frozenset({"forget", "retain"}),
            "both",
            "epochs x retain and twice forget",
        ),
        Method(
            certified_last_layer,
            frozenset({"forget", "retain"}),
            "both",
            "1 x forget and retain without training, some 20 Hessians of the head a class",
            needs="a Dense head",
            idle={"steps": 0},
        ),
    )
}

__all__ = [
    "DELETE",
    "FCS",
    "KDE",
    "PRMQ",
    "SCRUB",
    "AdaptiveAscent",
    "BadTeacher",
    "CertifiedHead",
    "GradientAscent",
    "L1Sparse",
    "MUMis",
    "Method",
    "NegGradPlus",
    "StopAtLevel",
    "Unlearner",
    "Unlearning",
    "assd",
    "bad_teacher",
    "boundary_expand",
    "boundary_shrink",
    "certified_last_layer",
    "cf_k",
    "ct",
    "delete",
    "describe",
    "eu_k",
    "fcs",
    "finetune",
    "fisher_forgetting",
    "get",
    "gradient_ascent",
    "influence",
    "kde",
    "l1_sparse",
    "lfssd",
    "msg",
    "mu_mis",
    "names",
    "neggrad_plus",
    "negmerge",
    "prmq",
    "prune_and_draw",
    "random_labels",
    "register",
    "retrain",
    "rni",
    "salun",
    "scrub",
    "sfr_on",
    "ssd",
    "svd_class",
    "table",
    "transpose_kernels",
    "uam",
    "unlearn",
    "unsir",
    "vision_confuser",
]


def names() -> list[str]:
    """Returns the names of all methods.

    Example:
        >>> from tfunlearn import methods
        >>> "finetune" in methods.names()
        True
    """
    return list(_TABLE)


def get(name: str | Unlearning) -> Unlearning:
    """Returns a method by name; a function is returned as it is.

    Args:
        name: one of ``names()``, or a function with a method's signature.

    Raises:
        ValueError: if no method has this name.
    """
    return name if callable(name) else describe(name).function


def describe(name: str) -> Method:
    """Returns a method's line of the table.

    Args:
        name: one of ``names()``.

    Raises:
        ValueError: if no method has this name.
    """
    if name not in _TABLE:
        raise ValueError(f"method: expected one of {', '.join(_TABLE)}. Received: {name!r}.")
    return _TABLE[name]


def register(method: Method) -> None:
    """Adds a method to the table, so that it is found by name and held to the contract.

    Args:
        method: its line of the table.

    Raises:
        ValueError: if the name is taken.
    """
    if method.name in _TABLE:
        raise ValueError(f"method: expected a new name. Received: {method.name!r}, which is taken.")
    _TABLE[method.name] = method


def table() -> str:
    """Returns the table of methods as text: name, roles read, scope, cost, needs, effect."""
    return format_table(list(_TABLE.values()))


def unlearn(
    model: keras.Model, split: ForgetSplit, method: str | Unlearning, **options: Any
) -> keras.Model:
    """Returns a new model without the forget set, by the method of a name.

    Args:
        model: a built Keras classifier; it is left as it was.
        split: the data.
        method: a name from ``methods.names()`` or a function with a method's signature.
        **options: the method's own keyword arguments, ``seed`` and ``epochs`` among them. Methods
            that train on retain by the loss on its labels take ``class_weight`` and
            ``sample_weight``, which ``fit`` does not keep in the model: give those that the
            original was trained under. The others take none, and use none that a split carries.

    Returns:
        The unlearned model, a plain Keras model.

    Raises:
        ValueError: if the method is unknown or does not take an option.

    Example:
        >>> from tfunlearn import data, methods, models
        >>> (x, y), test = data.datasets.load("digits")
        >>> x, x_test = x.reshape(-1, 64) / 255, test[0].reshape(-1, 64) / 255
        >>> split = data.random(x, y, fraction=0.1, test=(x_test, test[1]))
        >>> net = models.mnist_dense(64, seed=0)
        >>> methods.unlearn(net, split, "no such method")
        Traceback (most recent call last):
            ...
        ValueError: method: expected one of retrain, ... Received: 'no such method'.
    """
    function = get(method)
    if isinstance(method, str):
        unknown = sorted(set(options) - set(describe(method).options))
        if unknown:
            raise ValueError(
                f"{unknown[0]}: {method} does not take it. "
                f"Expected: some of {', '.join(describe(method).options)}. Received: {unknown}."
            )
    return function(model, split, **options)
