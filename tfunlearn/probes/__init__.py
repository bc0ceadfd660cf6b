"""Robustness probes: what an unlearned model still holds, measured on copies of it.

A probe never trains or changes the model that it is given. Its number says nothing alone: it
stands beside the same number of models retrained without the forget set.
"""

from tfunlearn.probes.anamnesis import AnamnesisIndex, anamnesis_index, anamnesis_target
from tfunlearn.probes.backdoor import BackdoorSuccess, backdoor_success
from tfunlearn.probes.linear_probe import LinearProbe, linear_probe
from tfunlearn.probes.quantize import quantized
from tfunlearn.probes.relearn import relearn_time
from tfunlearn.probes.relearn_result import RelearnPoint, RelearnSettings, RelearnTime
from tfunlearn.probes.residual_knowledge import ResidualKnowledge, residual_knowledge

__all__ = [
    "AnamnesisIndex",
    "BackdoorSuccess",
    "LinearProbe",
    "RelearnPoint",
    "RelearnSettings",
    "RelearnTime",
    "ResidualKnowledge",
    "anamnesis_index",
    "anamnesis_target",
    "backdoor_success",
    "linear_probe",
    "quantized",
    "relearn_time",
    "residual_knowledge",
]
