"""Who asked is written down with the work and never makes equal work different work."""

from __future__ import annotations

from dataclasses import replace

from interp_lab.jobs.spec import JobSpec, StoredSpec, decode_spec

SPEC = JobSpec(capability="inspect", request={"model": "m"})


def test_equal_work_of_two_investigators_is_one_job() -> None:
    ada, grace = (replace(SPEC, investigator=name) for name in ("ada", "grace"))
    assert ada.auto_key() == grace.auto_key() == SPEC.auto_key()
    assert ada.body_hash() == grace.body_hash()


def test_the_name_is_in_the_file_of_the_job_and_old_files_without_one_are_read() -> None:
    stored = StoredSpec(
        id="0" * 32,
        spec=replace(SPEC, investigator="ada"),
        key="k",
        created_at="2026-03-02T09:00:00+00:00",
        resumes=None,
    )
    data = stored.encode()
    assert decode_spec(data).spec.investigator == "ada"
    old = data.replace(b'"investigator":"ada",', b"")
    assert old != data
    assert decode_spec(old).spec.investigator == ""
