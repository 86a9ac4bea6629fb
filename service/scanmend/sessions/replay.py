"""Sends a recording through a service again, over the real client: the same plans and frames, bit for bit."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import xxhash
import zmq

from scanmend.client import Restored, Session
from scanmend.client.options import SessionSetup
from scanmend.errors import DamagedRecording, InvalidInput
from scanmend.frame import Frame
from scanmend.record import JournalReader
from scanmend.sessions.recording import Recording, Shot
from scanmend.sessions.tally import count
from scanmend.wire.header import VERSION, xxh3
from scanmend.wire.messages import Hello, Plan, Receipt, check_session_name

DECLINED = "replay"
"""The reason with which proposals are declined: what is sent is settled already."""

UNREAD = 4096
SLICE_S = 0.05
ANSWER_S = 60.0
"""After the last frame, so long is waited for the next answer before the session is ended without it."""
RECEIPT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How a replay went."""

    source: str
    session: str
    """The new one."""
    model: str
    """What restored the last frame; empty where nothing did."""
    sent: int
    skipped: int
    """Recorded frames that cannot be read any more and were left out."""
    declined: int
    """Proposals of the service."""
    elapsed_s: float
    differing: int
    """Frames whose samples the service did not take as they stand in the recording; 0 where all are equal."""
    compared: str
    """With what: `recording`, sample by sample in the new recording, or `receipt`, by its checksum."""
    answers: int
    """Restored frames that came back."""
    passes_answered: int
    estimates_xxh3: str
    """One checksum over the estimates of all complete passes: equal for replays that came out alike."""
    receipt: Receipt

    @property
    def equal(self) -> bool:
        """Whether the new session holds every readable frame, with the same samples."""
        return self.differing == 0 and self.receipt.checksum_matches and self.receipt.count == self.sent


def hello_of(recording: Recording, name: str, model: str | None) -> Hello:
    """The HELLO of a replay: the recorded one, under another name.

    The deadline is left out: nothing waits for a replay, and every frame is to be restored.
    """
    hello = recording.hello
    return msgspec.structs.replace(
        hello,
        version=VERSION,
        session=check_session_name(name),
        session_id=secrets.randbelow((1 << 63) - 1) + 1,
        client=f"replay of {recording.path.name}, {hello.client}"[:512],
        model=model or hello.model,
        deadline_ms=0,
        held_from=0,
    )


def replay(
    recording: Recording,
    address: str,
    name: str,
    *,
    speed: float = 1.0,
    model: str | None = None,
    new_data_dir: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Send a recording to a service and wait for the receipt.

    Args:
        recording: What to send.
        address: The service.
        name: Of the new session.
        speed: How much faster than it was scanned; inf as fast as the service takes it.
        model: The model to ask for; the recorded session's wish where it is None.
        new_data_dir: Where the service records, if it can be read here, for a comparison frame by frame.
        on_progress: Called with frames sent and frames in all.

    Raises:
        InvalidInput: A speed, a name or a frame that cannot be.
        NotConnected: Nobody answers at the address.
        SessionRefused: The service said no; the text says why.
        ScanmendError: As `scanmend.client.Session` raises.
    """
    if not speed > 0:
        raise InvalidInput(f"A speed of {speed}.", mend="Give a number above 0, or max.")
    hello = hello_of(recording, name, model)
    with _session(hello, address) as session:
        largest = session.welcome.max_frame_bytes
        if recording.largest_bytes > largest:
            raise InvalidInput(
                f"The recording has frames of {recording.largest_bytes} bytes, this service takes {largest}.",
                mend="Raise max_frame_bytes in the service's settings.",
            )
        run = _Run(recording, session, speed, on_progress)
        receipt = run.go()
    # A recording that lies elsewhere cannot be compared here; the receipt's checksum is over the samples just as well.
    there = None if new_data_dir is None else new_data_dir / "sessions" / name
    differing = compare(there, run.checksums, hello.session_id) if there is not None and there.is_dir() else None
    return Replayed(
        source=recording.path.name,
        session=name,
        model=run.model,
        sent=len(run.checksums),
        skipped=recording.unreadable + run.planless,
        declined=run.declined,
        elapsed_s=run.elapsed_s,
        differing=(0 if receipt.checksum_matches else receipt.gaps or 1) if differing is None else differing,
        compared="receipt" if differing is None else "recording",
        answers=run.answers,
        passes_answered=len(run.estimates),
        estimates_xxh3=run.estimates_xxh3,
        receipt=receipt,
    )


def compare(path: Path, checksums: list[int], session_id: int) -> int | None:
    """How many frames of a new recording do not hold the samples with these checksums; None for another session's.

    Raises:
        RecordingError: It cannot be read.
    """
    with JournalReader(path) as reader:
        if reader.session_id != session_id:
            return None
        differing = abs(len(reader.frame_seqs) - len(checksums))
        for seq, checksum in enumerate(checksums):
            try:
                found = reader.frame(seq)
            except DamagedRecording:
                found = None
            differing += found is None or xxh3(found[1]) != checksum
    return differing


@contextmanager
def _session(hello: Hello, address: str) -> Iterator[Session]:
    setup = SessionSetup(
        hello=hello,
        unread=UNREAD,
        drop_oldest=False,
        ring_bytes=1 << 30,
        verify=True,
        hold_timeout_s=120.0,
        give_up_s=60.0,
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        session = Session(context, address, setup, None, timeout_s=5.0)
        session.open()
        with session:
            yield session
    finally:
        context.destroy()


class _Run:
    """One replay under way."""

    def __init__(
        self,
        recording: Recording,
        session: Session,
        speed: float,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.checksums: list[int] = []
        self.estimates: dict[int, tuple[int, int]] = {}
        """Checksums of estimate and sigma of the last frame of each complete pass, by its number."""
        self.answers = self.declined = self.planless = 0
        self.model = ""
        self.elapsed_s = 0.0
        self._recording = recording
        self._session = session
        self._speed = speed
        self._tell = on_progress

    def go(self) -> Receipt:
        """Send everything, read everything, and end the session."""
        session, plan_ids = self._session, dict[int, int]()
        began_s = time.monotonic()
        for step in self._recording.steps():
            if isinstance(step, Plan):
                plan_ids[step.plan_id] = session.send_plan(step.plan)
                continue
            if not math.isinf(self._speed):
                self._wait_until(began_s + step.after_s / self._speed)
            self._send(step, plan_ids.get(step.header.plan_id))
            self._take()
            if self._tell is not None:
                self._tell(len(self.checksums), len(self._recording.shots))
        heard_s = time.monotonic()
        while session.stats.awaited and time.monotonic() - heard_s < ANSWER_S:
            restored = session.receive(SLICE_S)
            if restored is not None:
                self._note(restored)
                heard_s = time.monotonic()
            self._decline()
        receipt = session.end(_reason(self._recording), timeout_s=RECEIPT_S)
        while (restored := session.receive(0)) is not None:
            self._note(restored)
        self.elapsed_s = time.monotonic() - began_s
        return receipt

    @property
    def estimates_xxh3(self) -> str:
        """One checksum over all, in hex; empty where there are none."""
        if not self.estimates:
            return ""
        flat = [part for seq in sorted(self.estimates) for part in (seq, *self.estimates[seq])]
        return xxhash.xxh3_64_hexdigest(np.array(flat, dtype="<u8").tobytes())

    def _send(self, shot: Shot, plan_id: int | None) -> None:
        payload = self._recording.payload(shot)
        if payload is None:
            return
        if plan_id is None:
            self.planless += 1
            return
        header = shot.header
        samples = np.frombuffer(payload, dtype=np.dtype(header.dtype).newbyteorder("<"))
        frame = Frame(
            plan_id=plan_id,
            samples=samples.reshape(header.channels, header.points),
            pass_index=header.pass_index,
            first_point=header.first_point,
            end_of_pass=header.end_of_pass,
            acquired_unix_ns=header.acquired_unix_ns,
            dropped_before=header.dropped_before,
        )
        self._session.send(frame, copy=False)
        self.checksums.append(header.payload_xxh3)

    def _wait_until(self, due_s: float) -> None:
        while (left_s := due_s - time.monotonic()) > 0:
            restored = self._session.receive(min(left_s, SLICE_S))
            if restored is not None:
                self._note(restored)
            self._decline()

    def _take(self) -> None:
        while (restored := self._session.receive(0)) is not None:
            self._note(restored)
        self._decline()

    def _decline(self) -> None:
        while (proposal := self._session.next_proposal(0)) is not None:
            self._session.decline(proposal, DECLINED)
            self.declined += 1

    def _note(self, restored: Restored) -> None:
        self.answers += 1
        self.model = restored.model or self.model
        if restored.end_of_pass and restored.restored and restored.image is not None:
            sigma = 0 if restored.sigma is None else xxh3(restored.sigma.tobytes())
            self.estimates[restored.seq] = (xxh3(restored.image.tobytes()), sigma)


def _reason(recording: Recording) -> str:
    """The reason with which the replay ends: the recorded one's, where that came from its client."""
    receipt = count(recording.path).account
    return receipt.reason if receipt is not None and receipt.reason in ("stopped", "aborted") else "finished"
