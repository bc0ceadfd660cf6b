"""The README's table on speed, made of the side-by-side benchmarks' results."""

import math

HERE = ("training", "methods", "fisher", "split", "bank", "import", "growth")
ON_GPU = ("gpu_resnet", "gpu_bank")


def table(read):
    """Returns the ratios of the side-by-side benchmarks, how costs grow, and what is not run.

    Args:
        read: function of a result's file name that returns its content, or None.
    """
    results = {name: read(f"{name}.json") for name in (*HERE, *ON_GPU)}
    rows = [
        [*row, shorter_vectors(name, row, read)]
        for name, make in ROWS.items()
        if results[name]
        for row in make(results[name])
    ]
    parts = []
    if rows:
        lines = [
            "| what | beside | theirs | tfunlearn | times as much, in the rounds | on AVX2 |",
            "|---|---|---|---|---|---|",
        ]
        parts.append("\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]))
    if results["growth"]:
        parts.append(growth_table(results["growth"]))
    parts += [f"- {name}: {machine_text(found)}" for name, found in results.items() if found]
    for names, reason in ((HERE, ""), (ON_GPU, "needs a GPU: ")):
        missing = [f"`python benchmarks/run_{name}.py`" for name in names if not results[name]]
        if missing:
            parts.append(f"Not run yet: {reason}{', '.join(missing)}.")
    return joined(parts)


def shorter_vectors(name, row, read):
    """Returns the ratio of a row on a processor without AVX-512, where such a result is kept."""
    found = read(f"avx2/{name}.json")
    others = ROWS[name](found) if found else []
    return next((other[4] for other in others if other[:2] == row[:2]), "")


def joined(parts):
    """Returns parts of a page, with the lines of a list kept together."""
    text = ""
    for part in parts:
        listed = part.startswith("- ") and text.rpartition("\n")[2].startswith("- ")
        text += (("\n" if listed else "\n\n") if text else "") + part
    return text


def machine_text(result):
    """Returns on what a result was made."""
    found, device = result["environment"], result.get("device")
    rounds = result["settings"]["rounds"]
    if device is None:
        kind = ", ".join(filter(None, (found["processor"], result["machine"].get("vectors"))))
        place = f"{result['machine']['cores']} cores ({kind})"
    else:
        place, found = device_text(device), {**found, "jax": device["jax"]}
    versions = [f"{label} {found[key]}" for key, label in LIBRARIES.items() if key in found]
    said = TEXTS.get(result["benchmark"])
    more = f" {said(result)}" if said else ""
    return f"{rounds} rounds on {place}, {', '.join(versions)}.{more}"


LIBRARIES = {"keras": "Keras", "tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def device_text(device):
    """Returns a GPU's name, and its memory as the library that tells all of it has it."""
    memory = device.get("torch", device)["memory_mib"]
    size = "" if memory is None else f" ({figure(memory / 1024)} GiB)"
    return f"one {device['name']}{size}"


def training_text(result):
    """Returns what the first epochs took, and the test accuracies after the last."""
    said = [
        f"{name} {figure(found['first_epoch_seconds']['median'])} s and "
        f"{found['test_accuracy']['median']:.3f}"
        for name, found in result["contestants"].items()
        if "test_accuracy" in found
    ]
    return (
        f"First epoch, with all that is made once, and test accuracy at the end: {'; '.join(said)}."
    )


def fisher_text(result):
    """Returns how far the sums are from those of the same network in float64."""
    said = []
    for kind, found in result["networks"].items():
        off = found["relative_difference"]
        said.append(
            f"{NETWORKS[kind]}: compiled loop {off['loop']:.1e}, tfunlearn {off['tfunlearn']:.1e}, "
            f"tfunlearn in float64 {found['relative_difference_in_float64']:.1e}"
        )
    return f"Off from the same sums by a loop in float64, as a share: {'; '.join(said)}."


def growth_text(result):
    """Returns what a forget set of half of all examples costs beside one of one."""
    found = result["one_against_half"]
    ratios = ", ".join(f"{name} {figure(one['median'])}" for name, one in found["ratio"].items())
    return (
        f"Times as long for a forget set of half of {found['examples']:,} examples as for one of "
        f"one: {ratios}."
    )


def gpu_text(result):
    """Returns what is made once, and how many images a second were trained on afterwards."""
    of_all, what = {
        "gpu_resnet": ("first_pass_seconds", "First pass"),
        "gpu_bank": ("seconds_a_model", "Mean of all models"),
    }[result["benchmark"]]
    said = [
        f"{name} {figure(found[of_all]['median'])} s and "
        f"{figure(found['examples_a_second']['median'])}"
        for name, found in result["contestants"].items()
    ]
    return f"{what}, with all that is made once, and images a second after it: {'; '.join(said)}."


TEXTS = {
    "training": training_text,
    "fisher": fisher_text,
    "growth": growth_text,
    "gpu_resnet": gpu_text,
    "gpu_bank": gpu_text,
}


def row_of(what, beside, theirs, own, ratio, unit="s"):
    """Returns the cells of one comparison: medians, and the ratio with its range."""
    cells = [f"{figure(value['median'])} {unit}" for value in (theirs, own)]
    spread = f"**{figure(ratio['median'])}** ({figure(ratio['min'])} to {figure(ratio['max'])})"
    return [what, beside, *cells, spread]


def figure(value):
    """Returns a number with three digits that count, and no exponent.

    >>> figure(0.01234), figure(4.567), figure(1234.5)
    ('0.0123', '4.57', '1,234')
    """
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


TRAINING_PEERS = {
    "pytorch_loader": "PyTorch, the notebook's loop, DataLoader",
    "pytorch_memory": "PyTorch, the same loop, images in memory",
    "keras": "Keras `fit` on arrays",
    "keras_jax": "Keras `fit` on arrays, on JAX",
    "tfunlearn_jax": "tfunlearn on JAX",
    "arithmetic": "its operations at a large product's rate",
}


def training_rows(result):
    """Returns an epoch of the MNIST network beside each peer."""
    what = "an epoch, MNIST network"
    return peer_rows(result, what, TRAINING_PEERS, "tfunlearn", "epoch_seconds")


def peer_rows(result, what, peers, ours, key):
    """Returns a figure of one contestant beside that of each peer that ran."""
    found, ratio = result["contestants"], result["ratio"]
    return [
        row_of(what, beside, found[name][key], found[ours][key], ratio[name])
        for name, beside in peers.items()
        if name in ratio
    ]


METHOD_ROWS = {
    "scrub_epoch": "an epoch of SCRUB, small CNN",
    "scrub_call": "SCRUB, all of the call",
    "salun_epoch": "an epoch of SalUn, small CNN",
    "salun_call": "SalUn, all of the call",
    "ssd_first": "SSD as published, small CNN, first call",
    "ssd": "the same, later calls",
}


def methods_rows(result):
    """Returns the methods beside PyTorch."""
    theirs, own = (result["contestants"][name] for name in ("pytorch", "tfunlearn"))
    return [
        row_of(
            what,
            "PyTorch, after the official code",
            theirs[f"{key}_seconds"],
            own[f"{key}_seconds"],
            result["ratio"][key],
        )
        for key, what in METHOD_ROWS.items()
    ]


NETWORKS = {"dense": "MNIST network", "cnn": "small CNN"}
LOOPS = {
    "eager loop": "GradientTape, batches of one, as public code has it",
    "loop": "GradientTape, batches of one, compiled",
}


def fisher_rows(result):
    """Returns the sums of squares beside loops over single examples."""
    count = result["settings"]["examples"]
    return [
        row_of(
            f"exact diagonal Fisher of {count:,} examples, {NETWORKS[kind]}",
            words,
            found["seconds"][name],
            found["seconds"]["tfunlearn"],
            found["ratio"][name],
        )
        for kind, found in result["networks"].items()
        for name, words in LOOPS.items()
    ]


SPLIT_ROWS = {
    "split_and_first_pass_seconds": ("split and first pass", "s"),
    "second_pass_seconds": ("each later pass", "s"),
    "peak_mib": ("peak of memory", "MiB"),
}


PIPELINES = {
    "notebook": "the second notebook's pipeline",
    "records": "a pipeline of records",
}


def split_rows(result):
    """Returns time and memory of a split pipeline beside Keras' own way."""
    return [
        row_of(
            f"{what}, {PIPELINES[kind]} of {int(size):,} images",
            "`keras.utils.split_dataset`",
            both["keras"][key],
            both["tfunlearn"][key],
            both["ratio"][key],
            unit,
        )
        for kind, by_size in result["pipelines"].items()
        for size, both in by_size.items()
        for key, (what, unit) in SPLIT_ROWS.items()
    ]


def bank_rows(result):
    """Returns a model of a bank beside a loop over plain trainings."""
    found, settings = result["seconds_a_model"], result["settings"]
    what = f"a retrained model of {settings['models']}, {settings['epochs']} epochs, in "
    rows = [
        row_of(what + name, "build, compile, `fit`, `predict`", found["plain"], found[name], ratio)
        for name, ratio in result["ratio"].items()
    ]
    name = f"{settings['workers']} processes"
    limit = (found["arithmetic"], found["this process"], result["arithmetic"])
    more = (found["1 process"], found[name], result["more_processes"])
    rows.append(row_of(what + "this process", "its operations at a large product's rate", *limit))
    return [*rows, row_of(what + name, "the same in 1 process", *more)]


IMPORT_ROWS = {
    "tfunlearn": "`import tfunlearn`",
    "first_use": "the same, and its methods and audit",
    "help": "`tfunlearn --help`",
}


def import_rows(result):
    """Returns the start of a process beside that of TensorFlow."""
    found, beside = result["seconds"], "`import tensorflow`"
    return [
        row_of(what, beside, found["tensorflow"], found[name], result["ratio"][name])
        for name, what in IMPORT_ROWS.items()
    ]


GPU_RESNET_PEERS = {
    "keras_no_jit": "Keras on JAX, `jit_compile=False`",
    "pytorch": "PyTorch, images on the GPU",
    "pytorch_compile": "PyTorch, the same, `torch.compile`",
}


def gpu_resnet_rows(result):
    """Returns an epoch of the ResNet50 on a GPU beside each peer."""
    what = "an epoch, CIFAR-10 ResNet50, GPU"
    return peer_rows(result, what, GPU_RESNET_PEERS, "keras_jit", "epoch_seconds")


GPU_BANK_PEERS = {
    "tfunlearn_no_jit": "the same, `jit_compile=False`",
    "pytorch": "PyTorch, one after the other, images on the GPU",
    "pytorch_compile": "PyTorch, the same, `torch.compile`",
    "jax_alone": "a JAX program for a whole training",
    "jax_stacked": "a JAX program for all of them, weights stacked",
}


def gpu_bank_rows(result):
    """Returns a model of a bank on a GPU beside each peer."""
    settings = result["settings"]
    what = f"a model of {settings['models']}, {settings['epochs']} epochs, MNIST network, GPU"
    return peer_rows(result, what, GPU_BANK_PEERS, "tfunlearn_jit", "later_seconds_a_model")


ROWS = {
    "training": training_rows,
    "methods": methods_rows,
    "fisher": fisher_rows,
    "split": split_rows,
    "bank": bank_rows,
    "import": import_rows,
    "gpu_resnet": gpu_resnet_rows,
    "gpu_bank": gpu_bank_rows,
}


def growth_table(result):
    """Returns how costs grow: a row per curve."""
    lines = ["| cost | against | from | to | exponent |", "|---|---|---|---|---|"]
    for curve in result["curves"]:
        unit = {"seconds": "s", "mib": "MiB"}[curve["unit"]]
        ends = [
            f"{figure(curve['medians'][place])} {unit} at {curve['sizes'][place]:,}"
            for place in (0, -1)
        ]
        cells = [curve["cost"], curve["against"], *ends, f"{curve['exponent']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
