"""The artifact folder: whole or absent, named by content, alone while growing."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raiw.canonical import CHUNK_BYTES, digest_of, digest_of_chunks
from raiw.errors import DiskFull, NotFound
from service.contract.errors import Busy, Damaged
from service.store.files.artifacts import Artifacts, State

BIG = os.urandom(2 * CHUNK_BYTES + 17)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    artifacts = Artifacts(tmp_path_factory.mktemp("artifacts"))
    return artifacts, artifacts.put(BIG)


@given(st.integers(0, len(BIG)), st.integers(0, len(BIG) + 5))
def test_read_gives_the_bytes_of_the_slice(stored, start, stop):
    artifacts, digest = stored
    pieces = list(artifacts.read(digest, start, stop))
    assert b"".join(pieces) == BIG[start:stop]
    assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)


def test_a_file_is_named_by_its_digest_and_private(tmp_path):
    artifacts = Artifacts(tmp_path / "new" / "folder")
    digest = artifacts.put(b"abc")
    assert digest == digest_of(b"abc")
    path = artifacts.path(digest)
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o777 == 0o600
    assert artifacts.put(b"abc") == digest
    assert list((tmp_path / "new" / "folder" / "partial").iterdir()) == []


def test_a_staged_file_that_is_not_kept_vanishes(tmp_path):
    artifacts = Artifacts(tmp_path)
    with artifacts.stage(3) as staged:
        staged.write(b"abc")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_growing_file_is_hashed_over_several_openings(tmp_path):
    artifacts = Artifacts(tmp_path)
    for part in (b"one", b"two", b"three"):
        with artifacts.resume("upload") as staged:
            staged.write(part)
    assert artifacts.received("upload") == 11
    with artifacts.resume("upload") as staged:
        assert staged.head(4) == b"onet"
        assert staged.digest() == digest_of(b"onetwothree")
        staged.truncate(6)
        staged.write(b"!")
        assert staged.digest() == digest_of(b"onetwo!")
        staged.keep(staged.digest())
        assert artifacts.received("upload") == 7
    artifacts.discard("upload")
    assert artifacts.has(digest_of(b"onetwo!"))
    assert artifacts.received("upload") == 0


def test_only_one_writer_at_a_time(tmp_path):
    artifacts = Artifacts(tmp_path)
    with artifacts.resume("upload"), pytest.raises(Busy), artifacts.resume("upload"):
        pass
    with artifacts.resume("upload"):
        pass


def test_the_floor_of_free_space_is_kept(tmp_path):
    artifacts = Artifacts(tmp_path, min_free_bytes=1 << 60)
    with pytest.raises(DiskFull, match="do not fit"):
        artifacts.stage(1)
    with pytest.raises(DiskFull):
        artifacts.put(b"abc")


def test_deleting_twice_is_once_and_reading_then_says_so(tmp_path):
    artifacts = Artifacts(tmp_path)
    digest = artifacts.put(b"abc")
    artifacts.delete(digest)
    artifacts.delete(digest)
    assert not artifacts.has(digest)
    with pytest.raises(NotFound):
        list(artifacts.read(digest, 0, 3))


def test_sweeping_removes_what_nobody_touches(tmp_path):
    artifacts = Artifacts(tmp_path)
    for name in ("old", "young"):
        with artifacts.resume(name) as staged:
            staged.write(b"x")
    os.utime(tmp_path / "partial" / "old", (time.time() - 100, time.time() - 100))
    digest = artifacts.put(b"kept")
    artifacts.sweep(50)
    assert artifacts.received("old") == 0
    assert artifacts.received("young") == 1
    assert artifacts.has(digest)


def test_runs_that_nobody_works_on_are_removed(tmp_path):
    artifacts = Artifacts(tmp_path)
    running, left, fresh = (
        artifacts.run(f"sha256:{name}") for name in ("running", "left", "fresh")
    )
    for folder in (running, left):
        (folder / "checkpoint").write_bytes(b"1")
        for path in (folder / "checkpoint", folder):
            os.utime(path, (0, 0))
    artifacts.sweep_runs(3600, ["sha256:running"])
    assert set((tmp_path / "runs").iterdir()) == {running, fresh}


def test_damaged_bytes_are_set_aside_and_replaced(tmp_path):
    artifacts = Artifacts(tmp_path)
    digest = artifacts.put(b"abc")
    assert artifacts.verified(digest).read_bytes() == b"abc"
    artifacts.path(digest).write_bytes(b"abd")
    assert artifacts.has(digest)
    assert artifacts.inspect(digest) is State.DAMAGED
    assert artifacts.has(digest)
    with pytest.raises(Damaged, match=digest):
        artifacts.verified(digest)
    assert not artifacts.has(digest)
    assert [path.read_bytes() for path in (tmp_path / "damaged").iterdir()] == [b"abd"]
    with pytest.raises(NotFound):
        artifacts.verified(digest)
    artifacts.put(b"abc")
    assert artifacts.verified(digest).read_bytes() == b"abc"


@pytest.mark.parametrize("store", ["put", "take", "keep"])
def test_storing_replaces_what_is_damaged(tmp_path, store):
    artifacts = Artifacts(tmp_path)
    digest = artifacts.put(b"abc")
    artifacts.path(digest).write_bytes(b"abd")
    if store == "put":
        artifacts.put(b"abc")
    elif store == "take":
        made = artifacts.run("sha256:key") / "made"
        made.write_bytes(b"abc")
        for _ in range(2):  # two names of one file
            assert artifacts.take(made) == digest
    else:
        with artifacts.stage(3) as staged:
            staged.write(b"abc")
            staged.keep(digest)
    assert artifacts.path(digest).read_bytes() == b"abc"
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    read = []

    def counted(chunks):
        read.append(1)
        return digest_of_chunks(chunks)

    monkeypatch.setattr("service.store.files.artifacts.digest_of_chunks", counted)
    artifacts = Artifacts(tmp_path)
    digests = [artifacts.put(data) for data in (b"abc", b"abcd")]
    for _ in range(3):
        assert [artifacts.inspect(digest) for digest in digests] == [State.SOUND] * 2
    assert len(read) == 2
    artifacts.path(digests[0]).write_bytes(b"abd")
    assert [artifacts.inspect(digest) for digest in digests] == [State.DAMAGED, State.SOUND]
    assert len(read) == 3


def test_only_names_that_are_digests_are_ours(tmp_path):
    artifacts = Artifacts(tmp_path)
    digest = artifacts.put(b"abc")
    (artifacts.path(digest).parent / "else").write_bytes(b"")
    assert [name for name, _ in artifacts.digests()] == [digest]
    assert [name for name, _ in artifacts.digests(digest[7:9])] == [digest]
    assert list(artifacts.digests("zz")) == []


def test_what_was_set_aside_goes_with_time(tmp_path):
    artifacts = Artifacts(tmp_path)
    digest = artifacts.put(b"abc")
    artifacts.path(digest).write_bytes(b"abd")
    os.utime(artifacts.path(digest), (0, 0))
    with pytest.raises(Damaged):
        artifacts.verified(digest)
    (aside,) = (tmp_path / "damaged").iterdir()
    artifacts.sweep(3600)
    assert aside.exists()
    os.utime(aside, (0, 0))
    artifacts.sweep(3600)
    assert not aside.exists()


def test_a_growing_file_that_was_discarded_is_not_kept(tmp_path):
    artifacts = Artifacts(tmp_path)
    with artifacts.resume("upload") as staged:
        staged.write(b"abc")
        artifacts.discard("upload")
        assert staged.digest() == digest_of(b"abc")
        with pytest.raises(NotFound):
            staged.keep(digest_of(b"abc"))
    assert list(artifacts.digests()) == []
