"""Slots shared between processes, and who may use them."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanmend.errors import ConfigurationError, InvalidInput
from scanmend.ipc import Lease, SlotPool, SlotRing
from scanmend.ipc.ring import PAGE


@pytest.fixture
def ring(tmp_path: Path):
    with SlotRing.create(tmp_path, slots=4, slot_bytes=10_000) as made:
        yield made


def test_slots_are_whole_pages_private_and_apart(ring: SlotRing):
    assert ring.slot_bytes == 3 * PAGE
    assert ring.path.stat().st_mode & 0o777 == 0o600
    for i in range(4):
        ring.slot(i)[:] = bytes([i + 1]) * ring.slot_bytes
    assert [set(bytes(ring.slot(i))) for i in range(4)] == [{1}, {2}, {3}, {4}]
    assert np.frombuffer(ring.slot(1), np.uint8).ctypes.data % PAGE == 0


def test_another_process_sees_the_same_bytes_and_answers(ring: SlotRing):
    ring.array(2, (50, 60), np.uint16)[:] = np.arange(3000, dtype=np.uint16).reshape(50, 60)
    script = (
        "import sys, numpy as np; from pathlib import Path; from scanmend.ipc import SlotRing\n"
        "with SlotRing.attach(Path(sys.argv[1])) as ring:\n"
        "    seen = ring.array(2, (50, 60), np.uint16).copy()\n"
        "    ring.array(3, (50, 60), np.float32, offset_bytes=64)[:] = seen * 2.0\n"
    )
    subprocess.run([sys.executable, "-c", script, str(ring.path)], check=True, timeout=60)
    answer = ring.array(3, (50, 60), np.float32, offset_bytes=64)
    assert np.array_equal(answer.ravel(), np.arange(3000) * 2.0)
    assert ring.path.exists(), "the process that attached must not take the ring away when it ends"


def test_a_read_only_view_cannot_be_written(ring: SlotRing):
    with SlotRing.attach(ring.path, writable=False) as reader:
        with pytest.raises(TypeError):
            reader.slot(0)[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            reader.array(0, (4,), np.uint8)[:] = 1


def test_closing_while_an_array_is_held_neither_raises_nor_unmaps(tmp_path: Path):
    ring = SlotRing.create(tmp_path, slots=1, slot_bytes=PAGE)
    held = ring.array(0, (8,), np.uint8)
    part = ring.slot(0)[3:5]
    held[:] = 7
    ring.close()
    ring.close()
    assert not ring.path.exists()
    assert held.tolist() == [7] * 8 and bytes(part) == b"\x07\x07"
    with pytest.raises(InvalidInput):
        ring.slot(0)
    del held, part
    gc.collect()


@pytest.mark.parametrize(
    ("shape", "dtype", "offset"),
    [
        ((3 * PAGE + 1,), "u1", 0),
        ((3 * PAGE,), "u1", 1),
        ((2**40, 2**40), "u2", 0),
        ((-1,), "u1", 0),
        ((1,), "u1", -1),
        ((1,), "O", 0),
    ],
)
def test_an_array_that_does_not_fit_is_refused(ring: SlotRing, shape, dtype, offset):
    with pytest.raises(InvalidInput) as caught:
        ring.array(0, shape, dtype, offset_bytes=offset)
    assert caught.value.mend


@pytest.mark.parametrize("index", [-1, 4])
def test_there_is_no_such_slot(ring: SlotRing, index: int):
    with pytest.raises(InvalidInput):
        ring.slot(index)


def test_files_that_are_no_rings_are_refused_without_naming_them(tmp_path: Path, ring: SlotRing):
    junk = tmp_path / "secret-name"
    for content in (b"", b"x", b"x" * PAGE, ring.path.read_bytes()[: 2 * PAGE]):
        junk.write_bytes(content)
        with pytest.raises(ConfigurationError) as caught:
            SlotRing.attach(junk)
        assert "secret-name" not in str(caught.value)
    link = tmp_path / "link"
    link.symlink_to(ring.path)
    for path in (link, tmp_path / "missing"):
        with pytest.raises(ConfigurationError):
            SlotRing.attach(path)
    with pytest.raises(InvalidInput):
        SlotRing.create(tmp_path, slots=0, slot_bytes=1)


def test_shared_memory_that_is_too_small_is_said_at_once(tmp_path: Path):
    with pytest.raises(ConfigurationError):
        SlotRing.create(tmp_path, slots=2**20, slot_bytes=2**40)
    assert list(tmp_path.iterdir()) == []


def test_a_late_free_from_a_dead_worker_changes_nothing():
    pool = SlotPool(2)
    old = pool.allocate()
    assert old is not None and pool.reclaim() == 1
    again = [pool.allocate(), pool.allocate()]
    assert pool.allocate() is None
    assert pool.free(old) is False and pool.in_use == 2
    assert pool.free(Lease(99, 0)) is False and pool.free(Lease(-1, 0)) is False
    assert pool.stale_frees == 3
    assert all(lease is not None and pool.free(lease) for lease in again)
    assert pool.available == 2


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 4))
def test_no_slot_is_ever_leased_twice(actions: list[int], slots: int):
    """0..2 allocate, 3..4 free something current or stale, 5 reclaim; compared with a set."""
    pool, live, over = SlotPool(slots), set(), []
    for action in actions:
        if action <= 2:
            lease = pool.allocate()
            assert (lease is None) == (len(live) == slots)
            if lease is not None:
                assert lease.slot not in {other.slot for other in live} and lease not in over
                live.add(lease)
        elif action == 3 and live:
            lease = live.pop()
            assert pool.free(lease)
            over.append(lease)
        elif action == 4 and over:
            assert not pool.free(over[0])
        elif action == 5:
            assert pool.reclaim() == len(live)
            over.extend(live)
            live.clear()
        assert (pool.in_use, pool.available) == (len(live), slots - len(live))
        assert all(map(pool.is_current, live))
