"""A small service that follows the native protocol, for tests of clients; it restores by repeating the samples.

`ReferenceService` is pure: messages in, messages out. `serving` puts it behind a real ROUTER on a free port.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import xxhash
import zmq

from scanmend.errors import ProtocolError
from scanmend.wire.header import FrameHeader, PassReason, RestoredFlag, RestoredHeader, xxh3
from scanmend.wire.messages import (
    Ack,
    Command,
    End,
    Executed,
    Hello,
    Nack,
    NackCode,
    Plan,
    Problem,
    Receipt,
    Refuse,
    Welcome,
    decode_client,
    encode,
)  # fmt: skip


class ReferenceService:
    def __init__(
        self, *, credit=16, credit_bytes=1 << 30, max_frame_bytes=1 << 26, restore=True, durable=True, features=None
    ):
        self.credit, self.credit_bytes, self.max_frame_bytes = credit, credit_bytes, max_frame_bytes
        self.restore, self.durable = restore, durable
        self.boot_id, self.sessions, self.refuse, self.paused = 1, {}, None, ""
        self.features, self.problems = ["problems"] if features is None else features, []
        self.executed, self.hellos, self.lock = [], 0, threading.Lock()

    def restart(self):
        """Die and start again: only what is durable is still known."""
        with self.lock:
            self.boot_id += 1
            for s in self.sessions.values():
                s.frames = {seq: f for seq, f in s.frames.items() if seq < s.durable_upto}
                s.known, s.plans = False, {}

    def handle(self, parts):
        """Answer one message with a list of messages."""
        try:
            with self.lock:
                return self.frame(parts) if len(parts) == 2 else self.control(decode_client(parts[0]))
        except ProtocolError as error:
            return [[encode(Nack(session_id=0, code=NackCode.MALFORMED, reason=error.message))]]

    def control(self, m):
        if isinstance(m, Hello):
            return self.hello(m)
        if isinstance(m, Problem):
            if "problems" not in self.features:  # a service of the first edition
                return [[encode(Nack(session_id=0, code=NackCode.MALFORMED, reason="Invalid value 'PROBLEM'."))]]
            self.problems.append(m)
            return []
        s = self.sessions.get(m.session_id)
        if s is None or not s.known:
            return [[encode(Nack(session_id=m.session_id, code=NackCode.NO_SESSION, reason="Who are you?"))]]
        if isinstance(m, Plan):
            s.plans[m.plan_id] = m.plan
        elif isinstance(m, Executed):
            self.executed.append(m)
        elif isinstance(m, End):
            s.end = m
            return self.ack(s)
        return []

    def hello(self, m):
        self.hellos += 1
        if self.refuse:
            return [[encode(Refuse(code=self.refuse, reason="No.", mend="Ask again."))]]
        s = self.sessions.setdefault(
            m.session_id, SimpleNamespace(hello=m, frames={}, plans={}, rejected={}, durable_upto=0, end=None,
                                          duplicates=0, conflicts=0, restored=0, receipt=None))  # fmt: skip
        s.known, s.floor = True, m.held_from
        contiguous = next(
            n for n in range(len(s.frames) + len(s.rejected) + 1) if n not in s.frames and n not in s.rejected
        )
        safe = s.durable_upto if m.delivery == "durable" else contiguous
        return [[encode(Welcome(
            session_id=m.session_id, boot_id=self.boot_id, resume_from=safe, plans_known=list(s.plans),
            credit_until=self.received(s) + self.credit, credit_bytes=self.credit_bytes,
            max_frame_bytes=self.max_frame_bytes, max_plan_bytes=1 << 26, model="identity", model_sha256="00" * 32,
            provider="none", policies=[], recording=m.record, features=self.features))]]  # fmt: skip

    def received(self, s, upto=None):
        upto = s.floor if upto is None else upto
        while upto in s.frames or upto in s.rejected:
            upto += 1
        return upto

    def ack(self, s):
        upto = self.received(s)
        if self.durable:
            s.durable_upto = upto
        top = s.end.count if s.end else max(s.frames, default=-1) + 1
        missing = [seq for seq in range(upto, top) if seq not in s.frames and seq not in s.rejected]
        out = [[encode(Ack(
            session_id=s.hello.session_id, received_upto=upto, durable_upto=s.durable_upto,
            credit_until=0 if self.paused else upto + self.credit, holes=[(seq, seq + 1) for seq in missing[:32]],
            paused=self.paused))]]  # fmt: skip
        if s.end and not missing and (self.durable or s.hello.delivery == "received"):
            out.append([encode(self.receipt(s))])
        return out

    def frame(self, parts):
        h = FrameHeader.unpack(parts[0], max_payload_bytes=self.max_frame_bytes)
        s = self.sessions.get(h.session_id)

        def nack(code):
            return [[encode(Nack(session_id=h.session_id, code=code, reason=f"{code}.", seq=h.seq))]]

        if s is None or not s.known:
            return nack(NackCode.NO_SESSION)
        if xxh3(parts[1]) != h.payload_xxh3:
            return nack(NackCode.CHECKSUM)
        if h.plan_id not in s.plans:
            return nack(NackCode.UNKNOWN_PLAN)
        if h.seq in s.frames:
            same = s.frames[h.seq][0].payload_xxh3 == h.payload_xxh3
            s.duplicates, s.conflicts = s.duplicates + same, s.conflicts + (not same)
            return self.ack(s) if same else nack(NackCode.CONFLICT)
        if h.seq in s.rejected:
            s.duplicates += 1
            return self.ack(s)
        if h.dtype != s.hello.channels[0].dtype or h.first_point + h.points > s.plans[h.plan_id].points:
            s.rejected[h.seq] = NackCode.DTYPE
            return nack(NackCode.DTYPE) + self.ack(s)
        s.frames[h.seq] = (h, bytes(parts[1]))
        return self.ack(s) + ([] if s.hello.returns == "none" else [self.restored(s, h, bytes(parts[1]))])

    def restored(self, s, h, payload):
        s.restored += 1
        common = dict(session_id=h.session_id, seq=h.seq, pass_index=h.pass_index, frames_included=1)
        plan, shape = s.plans[h.plan_id], s.hello.field.shape
        if not self.restore:
            shape, reason = (h.channels, h.points), PassReason.ENGINE_DOWN
            header = RestoredHeader(
                **common, shape=shape, dtype=h.dtype, flags=RestoredFlag(0), reason=reason, estimate_xxh3=xxh3(payload)
            )
            return [header.pack(), payload]
        image = np.zeros(shape, np.float32)
        samples = np.frombuffer(payload, h.dtype).reshape(h.channels, h.points)[0]
        image.reshape(-1)[plan.pixels[h.first_point : h.first_point + h.points]] = samples
        estimate, sigma = image.tobytes(), np.ones(shape, np.float32).tobytes()
        flags = RestoredFlag.RESTORED | RestoredFlag.HAS_SIGMA | RestoredFlag.END_OF_PASS
        header = RestoredHeader(**common, shape=shape, dtype="float32", flags=flags, model="identity", provider="none",
                                estimate_xxh3=xxh3(estimate), sigma_xxh3=xxh3(sigma))  # fmt: skip
        return [header.pack(), estimate, sigma]

    def receipt(self, s):
        checksum = xxhash.xxh3_64()
        for seq in sorted(s.frames):
            checksum.update(s.frames[seq][0].payload_xxh3.to_bytes(8, "little"))
        n, rejected = len(s.frames), len(s.rejected)
        s.receipt = Receipt(
            session=s.hello.session, session_id=s.hello.session_id, count=s.end.count,
            scanned=s.end.count + s.end.dropped, dropped_by_client=s.end.dropped, received=n, durable=n,
            rejected={"dtype": rejected} if rejected else {}, gaps=s.end.count - n - rejected, missing=[],
            duplicates=s.duplicates, conflicts=s.conflicts, damaged=0, restored_in=n, restored_out=s.restored,
            passed_through={}, dropped={}, live_in=0, live_out=0, live_dropped=0, proposals=0, executed={},
            dose_e_per_nm2=None, dose_max_e_per_nm2=None, budget_e_per_nm2=None,
            checksum_matches=checksum.intdigest() == s.end.checksum, recording="", delivery=s.hello.delivery,
            reason=s.end.reason, balanced=s.end.count == n + rejected)  # fmt: skip
        return s.receipt

    def command(self, session_id, action):
        return [encode(Command(session_id=session_id, action=action, by="the test"))]


@contextlib.contextmanager
def serving(service: ReferenceService | None = None, *, drop: float = 0.0) -> Iterator[SimpleNamespace]:
    """Serve on a free port; a share of the incoming frames can be dropped at random."""
    service = service or ReferenceService()
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    handle = SimpleNamespace(service=service, address=f"tcp://127.0.0.1:{port}", stop=threading.Event(), push=[],
                             silent=threading.Event(), error=None)  # fmt: skip
    dice = random.Random(1)

    def loop():
        peer = None
        while not handle.stop.is_set():
            while handle.push and peer:
                router.send_multipart([peer, *handle.push.pop(0)])
            if handle.silent.is_set() or not router.poll(10):
                handle.stop.wait(0.005 if handle.silent.is_set() else 0)
                continue
            peer, *parts = router.recv_multipart()
            if len(parts) == 2 and dice.random() < drop:
                continue
            for message in service.handle(parts):
                router.send_multipart([peer, *message])

    def guarded():
        try:
            loop()
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            handle.error = error

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        yield handle
    finally:
        handle.stop.set()
        thread.join(5)
        router.close(0)
        context.term()
        assert not thread.is_alive()
        if handle.error is not None:
            raise handle.error
