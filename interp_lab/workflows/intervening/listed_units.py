"""Features of a list that a report ranked, as units: the list is read again, and must be the one that was inspected."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter, ValidationError

from interp_lab.artifacts.paths import open_input, resolve_input
from interp_lab.artifacts.writer import hash_file
from interp_lab.contracts.inspect_evidence import FeaturesEvidence, RankedArgument
from interp_lab.contracts.inspect_report import CoordinateCard
from interp_lab.contracts.intervene import UnitRef
from interp_lab.errors import InvalidRequest
from interp_lab.settings import Settings
from interp_lab.store.interchange.feature_lists import ListedFeature, read_feature_list

_SITE = "/features-"
_EVIDENCE: TypeAdapter[object] = TypeAdapter(RankedArgument)


class ListedUnits:
    """The features of the list that an inspect run was asked about, by the name that its report gives them."""

    def __init__(self, request: Mapping[str, JsonValue], settings: Settings) -> None:
        """Take the request of the inspect run; nothing is read before a unit is asked for."""
        self._request, self._settings = request, settings
        self._known: dict[str, list[ListedFeature]] | None = None

    def unit(self, card: CoordinateCard, name: str) -> UnitRef | None:
        """Return a described coordinate as a unit called `name`; None if it is no feature of a list.

        Raises:
            InvalidRequest: The list is another one now, or gives several features this name.
            MalformedFile, InvalidPath, PathOutsideWorkspace: It cannot be read.
        """
        place, is_listed, digest = card.address.partition(_SITE)
        if not is_listed:
            return None
        if self._known is None:
            self._known = self._read(digest)
        found = [each for each in self._known.get(card.name or "", []) if str(each.address) == place]
        if len(found) != 1:
            raise InvalidRequest(
                f"The list has {len(found)} features at {place} that are called {str(card.name)[:80]!r}.",
                remedy="Name its coordinate or direction as a unit.",
            )
        (one,) = found
        if one.unit is not None:
            return UnitRef(address=one.address, index=one.unit, name=name)
        return UnitRef(address=one.address, direction=one.direction, name=name)

    def _read(self, digest: str) -> dict[str, list[ListedFeature]]:
        try:
            evidence = _EVIDENCE.validate_python(self._request.get("evidence"))
        except ValidationError as error:
            raise InvalidRequest("The report does not say which list of features it ranked.") from error
        if not isinstance(evidence, FeaturesEvidence):
            raise InvalidRequest("The report does not say which list of features it ranked.")
        root, roots = self._settings.workspace, self._settings.read_roots
        if not hash_file(resolve_input(root, evidence.path, read_roots=roots, kind="file"))[0].startswith(digest):
            raise InvalidRequest(
                f"{evidence.path} is no longer the list that the report ranked.", remedy="Inspect it again."
            )
        known: dict[str, list[ListedFeature]] = {}
        with open_input(root, evidence.path, read_roots=roots) as file:
            for feature in read_feature_list(file, where=evidence.path):
                known.setdefault(feature.name + (f": {feature.label}" if feature.label else ""), []).append(feature)
        return known
