"""Architectures by name, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from interp_lab.contracts.dictionaries import ArchitectureName
from interp_lab.dictionaries.architectures.base import Architecture
from interp_lab.dictionaries.architectures.batchtopk import BatchTopK
from interp_lab.dictionaries.architectures.gated import Gated
from interp_lab.dictionaries.architectures.jumprelu import JumpRelu
from interp_lab.dictionaries.architectures.matryoshka import Matryoshka
from interp_lab.dictionaries.architectures.relu import Relu
from interp_lab.dictionaries.architectures.topk import TopK

ARCHITECTURES: Mapping[ArchitectureName, Architecture] = MappingProxyType(
    {each.name: each() for each in (Relu, Gated, TopK, BatchTopK, JumpRelu, Matryoshka)}
)
"""Every architecture."""
