"""What an artifact that no job made says of where it comes from."""

from __future__ import annotations

from interp_lab.contracts.gallery import GalleryRequest
from interp_lab_tools.inline_origin import inline_origin
from interp_lab_tools.versions import code_version, package_versions


def test_an_origin_has_the_request_as_asked_what_was_read_and_what_ran() -> None:
    origin = inline_origin("gallery", GalleryRequest(), {"page 0": "a" * 64}, seeds={"seed": 3})
    assert origin.job is None
    assert origin.spec == {"capability": "gallery", "request": {}}
    assert origin.inputs == {"page 0": "a" * 64}
    assert origin.seeds == {"seed": 3}
    assert (origin.code_version, origin.package_versions) == (code_version(), package_versions())
    assert origin.started.tzinfo is not None
