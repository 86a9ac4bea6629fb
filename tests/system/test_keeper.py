"""What happens by itself in a running service: what ends is exported, also when the keeper is killed half-way."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - the samples are packed with Blosc
import numpy as np
import pytest

from recordings import record
from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.field import Channel, Field
from scanmend.ipc.keeper_status import KeeperStatus, read_keeper_status
from scanmend.sessions import Catalogue, SessionState

FIELD = Field(shape=(128, 128), pixel_size_nm=1.0, beam_current_pa=10.0)
PLENTY_S = 90.0


def status(service: RunningService) -> KeeperStatus:
    found = read_keeper_status(service.run_dir)
    assert found is not None
    return found


def dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def child_of(pid: int) -> int:
    """The only child of a process."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@pytest.mark.timeout(240)
def test_sessions_are_exported_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / "data"
    exports = data_dir / "exports"
    record(data_dir, "cut", range(3), ended=False, model="identity")
    gone = record(data_dir, "opening-gone", range(2), ended=False)
    segment = gone / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    data[4096 + 100] ^= 1
    segment.write_bytes(data)
    monkeypatch.setenv("SCANMEND_ABANDON_S", "1")
    monkeypatch.setenv("SCANMEND_KEEPER_NICE", "2")  # where tests run, other tests do
    pictures = np.random.default_rng(1).poisson(20, (40, *FIELD.shape)).astype(np.uint16)
    with RunningService(data_dir) as service:
        wait_for(lambda: (exports / "cut.nxs").exists(), PLENTY_S, "what was cut off is not closed and exported")
        with Client(service.address) as client:
            with client.session("gold", FIELD, channels=[Channel(name="HAADF")], model="identity") as session:
                for picture in pictures:
                    session.send(picture)
        wait_for(lambda: (exports / ".gold.nxs.part").exists(), PLENTY_S, "the export does not begin")
        keeper = service.pid("keeper")
        exporter = child_of(keeper)
        assert os.getpriority(os.PRIO_PROCESS, exporter) == 2
        service.kill("keeper")
        wait_for(lambda: dead(exporter), PLENTY_S, "the export outlives its keeper")
        assert not (exports / "gold.nxs").exists(), "it was whole before the kill: the test came too late"
        again = service.wait_restarted("keeper", keeper)
        wait_for(lambda: status(service).pid == again, PLENTY_S, "the new keeper says nothing")
        wait_for(lambda: status(service).exported == 1, PLENTY_S, "the export is not made again")
        with h5py.File(exports / "gold.nxs") as file:
            assert np.array_equal(file["entry/frames_HAADF/data"][()], pictures)
            assert file["entry/recording/finished"][()] and file["entry/restored/restored"].shape == FIELD.shape
        wait_for(lambda: bool(status(service).unfinished), PLENTY_S, "what cannot be closed is not listed")
        (lost,) = status(service).unfinished
        assert lost.name == "opening-gone" and not lost.held and any("opening is gone" in text for text in lost.misses)
    assert sorted(path.name for path in exports.iterdir()) == ["cut.nxs", "gold.nxs"]
    with Catalogue(data_dir) as catalogue:
        cut, gold = catalogue.find("cut"), catalogue.find("gold")
    assert (cut.state, cut.reason, cut.frames_on_disk) == (SessionState.ENDED, "abandoned", 3)
    assert cut.exports == (str(exports / "cut.nxs"),) and gold.exports == (str(exports / "gold.nxs"),)
