"""Makes RESTORED messages and sends them: what a model made, or the frame as it came, marked so."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from scanmend.acquire.context import Context, Posted
from scanmend.acquire.jobs import Job, Picture
from scanmend.acquire.session import Session, SessionState
from scanmend.ipc.console import PictureInfo
from scanmend.ipc.engine_link import Done
from scanmend.wire.header import PassReason, RestoredFlag, RestoredHeader
from scanmend.wire.messages import Enough, Proposal, Returns, encode, finite_or_none
from scanmend.wire.sockets import COPY_THRESHOLD_BYTES


def keep_state(session: Session, done: Done) -> None:
    """Note what a restoration says of its session."""
    session.meters.restored(done.restore_ns)
    session.model, session.provider = done.model, done.provider
    session.note_model(done.model, done.sha256, done.provider)
    session.coverage = finite_or_none(done.coverage)
    session.sigma_mean = finite_or_none(done.sigma_mean)
    session.caution = done.caution
    session.dose_e_per_nm2 = finite_or_none(done.dose_e_per_nm2)
    session.dose_max_e_per_nm2 = finite_or_none(done.dose_max_e_per_nm2)


def answer_restored(context: Context, session: Session, job: Job, done: Done) -> None:
    """Send the estimate that the engine left in the job's picture slot."""
    picture = _filled(job, done)
    flags = RestoredFlag.RESTORED
    if job.header.end_of_pass:
        flags |= RestoredFlag.END_OF_PASS
    with_sigma = done.has_sigma and session.hello.returns is Returns.ESTIMATE_SIGMA
    if with_sigma:
        flags |= RestoredFlag.HAS_SIGMA
    if done.caution:
        flags |= RestoredFlag.CAUTION
    now = context.clock.mono_ns()
    header = RestoredHeader(
        session_id=session.id,
        seq=job.header.seq,
        pass_index=job.header.pass_index,
        shape=picture.shape,
        dtype="float32",
        flags=flags,
        frames_included=done.frames_included,
        acquired_unix_ns=job.header.acquired_unix_ns,
        queue_ns=max(0, done.taken_mono_ns - job.received_mono_ns),
        restore_ns=done.restore_ns,
        service_ns=now - job.received_mono_ns,
        dose_e_per_nm2=done.dose_e_per_nm2,
        sigma_mean=done.sigma_mean,
        coverage=done.coverage,
        electrons_per_unit=done.electrons_per_unit,
        model_sha256=bytes.fromhex(done.sha256) if done.sha256 else bytes(32),
        model=done.model,
        provider=done.provider,
        estimate_xxh3=done.estimate_xxh3,
        sigma_xxh3=done.sigma_xxh3 if with_sigma else 0,
    )
    job.answered = True
    _offer_live(context, session, job, picture, None, done, PassReason.NONE, now)
    if session.hello.returns is Returns.NONE:
        session.ledger.dropped["returns_none"] += 1
        _count(context, session, job)  # how long it took to become a picture
        return
    planes = [0, 1] if with_sigma else [0]
    picture.hold()

    def send() -> bool:
        peer = session.peer
        if peer is None or session.state is SessionState.DETACHED:
            session.ledger.dropped["client_away"] += 1
            picture.release()
            return True
        posted, trackers = _send_planes(context.router, peer, header.pack(), picture, planes)
        if posted is Posted.FULL:
            return False
        session.in_flight.add(picture, trackers)
        if posted is Posted.AWAY:
            session.ledger.dropped["client_away"] += 1
            return True
        session.ledger.restored_out += 1
        _count(context, session, job)
        return True

    _post(session, send)


def answer_passed(context: Context, session: Session, job: Job, reason: PassReason) -> None:
    """Send the frame's own samples back, marked as not restored, with the reason."""
    job.answered = True
    now = context.clock.mono_ns()
    _offer_live(context, session, job, None, job.payload, None, reason, now)
    if session.hello.returns is Returns.NONE:
        session.ledger.dropped["returns_none"] += 1
        return
    header = RestoredHeader(
        session_id=session.id,
        seq=job.header.seq,
        pass_index=job.header.pass_index,
        shape=(job.header.channels, job.header.points),
        dtype=job.header.dtype,
        flags=RestoredFlag.END_OF_PASS if job.header.end_of_pass else RestoredFlag(0),
        reason=reason,
        frames_included=1,
        acquired_unix_ns=job.header.acquired_unix_ns,
        queue_ns=now - job.received_mono_ns,
        service_ns=now - job.received_mono_ns,
        estimate_xxh3=job.header.payload_xxh3,
    )

    def send() -> bool:
        if session.peer is None or session.state is SessionState.DETACHED:
            session.ledger.dropped["client_away"] += 1
            return True
        try:
            context.router.send(session.peer, zmq.SNDMORE | zmq.DONTWAIT)
            context.router.send(header.pack(), zmq.SNDMORE)
            context.router.send(job.payload, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            session.ledger.dropped["client_away"] += 1
            return True
        session.ledger.passed_through[reason.name.lower()] += 1
        _count(context, session, job)
        return True

    _post(session, send)


def answer_dropped(session: Session, job: Job, policy: str) -> None:
    """Count a frame that gets no answer of its own."""
    job.answered = True
    session.ledger.dropped[policy] += 1


def answer_next(context: Context, session: Session, choice: Proposal | Enough) -> None:
    """Send what follows a pass; it waits for a client that is away, and is moot once the session ends."""
    data = encode(choice)

    def send() -> bool:
        return context.send_bytes(session.peer, data) is Posted.SENT or session.state is SessionState.ENDING

    _post(session, send)


def flush_answers(session: Session) -> None:
    """Send what the client did not take before, in order."""
    while session.answers and session.answers[0]():
        session.answers.popleft()


def _post(session: Session, send: Callable[[], bool]) -> None:
    session.answers.append(send)
    flush_answers(session)


def _filled(job: Job, done: Done) -> Picture:
    picture = job.picture
    if picture is None:
        raise RuntimeError("a restored frame has no picture slot")
    picture.shape = (done.ny, done.nx)
    picture.has_sigma = done.has_sigma
    picture.has_raw = done.has_raw
    return picture


def _send_planes(
    router: zmq.Socket[bytes], peer: bytes, header: bytes, picture: Picture, planes: list[int]
) -> tuple[Posted, list[zmq.MessageTracker]]:
    """Send planes of a picture without copying large ones; the trackers tell when ZeroMQ has let go of them."""
    trackers: list[zmq.MessageTracker] = []
    try:
        router.send(peer, zmq.SNDMORE | zmq.DONTWAIT)
        router.send(header, zmq.SNDMORE)
        for plane in planes:
            data = picture.bytes_of(plane)
            more = zmq.SNDMORE if plane != planes[-1] else 0
            if len(data) < COPY_THRESHOLD_BYTES:
                router.send(bytes(data), more)
            else:
                tracker = router.send(data, more, copy=False, track=True)
                if tracker is not None:
                    trackers.append(tracker)
    except zmq.Again:
        return Posted.FULL, trackers
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise
        return Posted.AWAY, trackers
    return Posted.SENT, trackers


def _count(context: Context, session: Session, job: Job) -> None:
    now = context.clock.mono_ns()
    session.meters.answered(now, None if job.awaited_engine else now - job.received_mono_ns)


def _offer_live(
    context: Context,
    session: Session,
    job: Job,
    picture: Picture | None,
    samples: zmq.Frame | None,
    done: Done | None,
    reason: PassReason,
    now: int,
) -> None:
    """Make this frame the newest picture of the page."""
    live = session.live
    if picture is None and not live.due(now):
        return
    plan = session.plans.get(job.header.plan_id)
    full_raster = plan is not None and plan.is_full_raster and job.header.points == plan.points
    if picture is not None and not picture.has_raw or picture is None and not full_raster:
        return
    watched = live.watched(now)
    if watched:
        session.ledger.live_in += 1
    if not live.fetched:
        session.ledger.live_dropped += 1
    forget_live(session)
    live.number += 1
    if picture is None:  # one that the engine made was offered when it was asked for
        live.offered_mono_ns = now
    live.fetched = not watched  # one that is kept in case somebody comes is not counted, whatever becomes of it
    live.picture = picture.hold() if picture is not None else None
    live.samples = samples
    live.info = PictureInfo(
        ask=0,
        session=session.name,
        number=live.number,
        seq=job.header.seq,
        shape=picture.shape if picture is not None else session.hello.field.shape,
        raw_dtype="float32" if picture is not None else job.header.dtype,
        restored=done is not None,
        reason="" if done is not None else reason.name.lower(),
        model=done.model if done is not None else "",
        provider=done.provider if done is not None else "",
        sha256=done.sha256 if done is not None else "",
        coverage=finite_or_none(done.coverage) if done is not None else 1.0,
        sigma_mean=finite_or_none(done.sigma_mean) if done is not None else None,
        caution=done.caution if done is not None else None,
        dose_e_per_nm2=finite_or_none(done.dose_e_per_nm2) if done is not None else session.dose_e_per_nm2,
        frames_included=done.frames_included if done is not None else 1,
        latency_ms=(now - job.received_mono_ns) / 1e6,
        acquired_unix_ns=job.header.acquired_unix_ns,
        reference_dwell_ns=finite_or_none(done.reference_dwell_ns) if done is not None else None,
    )


def forget_live(session: Session) -> None:
    """Let go of the page's newest picture."""
    if session.live.picture is not None:
        session.live.picture.release()
    session.live.picture = None
    session.live.samples = None
