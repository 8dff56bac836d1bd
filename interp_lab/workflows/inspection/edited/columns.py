# pyright: standard
"""From what a source calls a unit to the column of the table that holds it; a name that fits no column fits none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interp_lab.points import Address
from interp_lab.store.interchange.features import place_of
from interp_lab.workflows.inspection.tables import Table


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a table by name."""

    table: Table
    dictionaries: Sequence[str]
    """Of the request, in its order."""
    same: Mapping[str, str]
    """The one name of each dictionary, by which ids of units call it."""
    names: Mapping[str, int]
    """What the source of the values calls each column, where it names them."""

    @classmethod
    def of(
        cls,
        table: Table,
        dictionaries: Sequence[str],
        names: Sequence[str] | None,
        *,
        same: Mapping[str, str] | None = None,
    ) -> Columns:
        """Return the columns of a table."""
        known = {name: i for i, name in reversed([*enumerate(names or ())])}
        return cls(table, tuple(dict.fromkeys(dictionaries)), same or {}, known)

    def of_unit(self, unit: str) -> int | None:
        """Return the column of a unit id: 'ADDRESS#INDEX' or 'DICTIONARY#INDEX', else None."""
        site, separator, index = unit.rpartition("#")
        if not separator or not index.isdecimal():
            return None
        return self.table.place(self._sites().get(site, site), int(index))

    def of_feature(self, name: str, metadata: Mapping[str, Any]) -> int | None:
        """Return the column of a feature of a record, else None.

        A latent is the same only if the dictionary is: by its name in the file that was inspected, never by its layer.
        """
        if name in self.names:
            return self.names[name]
        site, separator, index = name.rpartition(" #")
        if separator and index.isdecimal():
            return self.table.place(site, int(index))
        place = place_of(name, metadata)
        if place.unit is None or place.dictionary is not None:
            return None
        for address in _same(place.address):
            if (column := self.table.place(str(address), place.unit)) is not None:
                return column
        return None

    def _sites(self) -> dict[str, str]:
        """Return the site of every dictionary: sites of latents come in the order of the request."""
        sites = [site for site in map(str, self.table.columns) if "/" in site]
        if len(sites) != len(self.dictionaries):
            return {}
        named = dict(zip(self.dictionaries, sites, strict=True))
        return {self.same.get(name, name): site for name, site in reversed(named.items())} | named


def _same(address: Address) -> tuple[Address, ...]:
    """An address, and the other name of the same stream: what enters a block has left the one before."""
    if address.point == "resid_pre" and address.layer:
        return address, Address("resid_post", address.layer - 1)
    if address.point == "resid_post" and address.layer is not None:
        return address, Address("resid_pre", address.layer + 1)
    return (address,)
