"""Answers HELLO: opens a session, takes one up again, or refuses and says why."""

from __future__ import annotations

from scanmend.acquire.context import Context
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.jobs import FLOAT_BYTES, Slots
from scanmend.acquire.ledger import Ledger
from scanmend.acquire.operator_part import OperatorPart
from scanmend.acquire.recordings import Resumed, free_bytes, has_recording, open_recording
from scanmend.acquire.session import Session, SessionState
from scanmend.errors import ConfigurationError, InvalidInput, RecordingError, ScanmendError
from scanmend.ipc import SlotPool, SlotRing
from scanmend.rescan import check_request, policy_named, policy_names
from scanmend.wire.header import ITEM_BYTES, VERSION
from scanmend.wire.messages import (
    MAX_PLAN_BYTES,
    Delivery,
    Feature,
    Hello,
    Refuse,
    RefuseCode,
    Welcome,
    check_session_name,
)

RING_IN_BYTES = 64 << 20
RING_OUT_BYTES = 256 << 20
"""Shared memory of a session, roughly: large fields get fewer slots, small ones at most `MAX_SLOTS`."""
MAX_SLOTS = 8
PLANES = 3
"""Of a result: estimate, sigma, raw."""
LEAST_FRAME_BYTES = 65_536
MOST_PLANS_NAMED = 2048
"""Most plans that a WELCOME names, the newest; the client sends the others again, which does no harm."""
MOST_FORGOTTEN = 1 << 24
"""Most frames that a session may have lost when a service that was started anew takes it up."""


def welcome(context: Context, desk: EngineDesk, hello: Hello, peer: bytes) -> Session | Refuse:
    """Open or take up the session that a HELLO asks for; the caller sends the answer."""
    if hello.version != VERSION:
        return _refuse(
            RefuseCode.VERSION,
            f"The client speaks protocol version {hello.version}, the service version {VERSION}.",
            "Use a client and a service of the same protocol version.",
        )
    known = context.sessions.get(hello.session_id)
    if known is not None:
        return _take_up(context, known, hello, peer)
    refused = _check(context, desk, hello)
    if refused is not None:
        return refused
    opened = context.clock.unix_ns()
    try:
        slots = make_slots(context, hello)
    except ConfigurationError as error:
        return _refuse(RefuseCode.FIELD, error.message, error.mend)
    journal = None
    try:
        if hello.record and context.recordings is not None:
            journal = open_recording(context.settings, context.recordings, hello, opened)
    except RecordingError as error:
        slots.close()
        return _refuse(RefuseCode.RECORDING, error.message, error.mend)
    session = Session(
        hello=hello,
        opened_unix_ns=opened,
        slots=slots,
        operator=OperatorPart.of(hello),
        max_frame_bytes=max_frame_bytes(context, hello),
        credit_frames=context.settings.credit_frames,
        journal=journal,
        peer=peer,
        heard_mono_ns=context.clock.mono_ns(),
        ledger=Ledger(begin=hello.held_from),
    )
    context.sessions[session.id] = session
    return session


def readmit(context: Context, resumed: Resumed) -> Session:
    """A session that was cut off waits, detached, for its client to come back."""
    session = Session(
        hello=resumed.hello,
        opened_unix_ns=resumed.opened_unix_ns,
        slots=make_slots(context, resumed.hello),
        operator=resumed.operator,
        max_frame_bytes=max_frame_bytes(context, resumed.hello),
        credit_frames=context.settings.credit_frames,
        journal=resumed.journal,
        state=SessionState.DETACHED,
        heard_mono_ns=context.clock.mono_ns(),
        ledger=resumed.ledger,
        plans=resumed.plans,
        passes=resumed.passes,
        proposals=resumed.proposals,
        proposals_made=resumed.proposals_made,
        proposal_owed=resumed.proposal_owed,
        enough=resumed.enough,
        executed=resumed.executed,
        reported=resumed.reported,
        scanned=resumed.scanned,
    )
    context.sessions[session.id] = session
    return session


def greeting(context: Context, desk: EngineDesk, session: Session) -> Welcome:
    """The WELCOME of a session, with the credit that it has now."""
    ack = session.ack()
    ready = desk.ready
    wanted = session.hello.model if session.hello.model != "auto" else (ready.default_model if ready else "")
    info = next((m for m in ready.models if m.name == wanted), None) if ready else None
    return Welcome(
        session_id=session.id,
        boot_id=context.boot_id,
        resume_from=session.resume_from,
        plans_known=sorted(session.plans)[-MOST_PLANS_NAMED:],
        credit_until=ack.credit_until,
        credit_bytes=session.credit_frames * session.max_frame_bytes,
        max_frame_bytes=session.max_frame_bytes,
        max_plan_bytes=MAX_PLAN_BYTES,
        model=info.name if info else "",
        model_sha256=info.sha256 if info else "",
        provider=info.provider if info else "",
        policies=policy_names(),
        recording=session.journal is not None,
        awaits=ack.awaits,
        features=[feature.value for feature in Feature],
    )


def make_slots(context: Context, hello: Hello) -> Slots:
    """The rings of a session.

    Raises:
        ConfigurationError: There is no shared memory left, or not as much as the settings allow.
    """
    into, out = max_frame_bytes(context, hello), PLANES * FLOAT_BYTES * hello.field.pixels
    slots_in = min(MAX_SLOTS, max(2, RING_IN_BYTES // into))
    slots_out = min(MAX_SLOTS, max(3, RING_OUT_BYTES // out))
    wanted = slots_in * into + slots_out * out
    used = sum(session.slots.size_bytes for session in context.sessions.values() if not session.slots_closed)
    if used + wanted > context.settings.shared_bytes:
        raise ConfigurationError(
            f"A field of {hello.field.shape[0]} × {hello.field.shape[1]} pixels needs {wanted >> 20} MiB of shared "
            f"memory, and {max(0, context.settings.shared_bytes - used) >> 20} MiB are left.",
            mend="Scan a smaller field, end another session, or raise shared_bytes in the service's settings.",
        )
    ring_in = SlotRing.create(context.run_dir, slots=slots_in, slot_bytes=into)
    try:
        ring_out = SlotRing.create(context.run_dir, slots=slots_out, slot_bytes=out)
    except ConfigurationError:
        ring_in.close()
        raise
    return Slots(ring_in, ring_out, SlotPool(slots_in), SlotPool(slots_out))


def max_frame_bytes(context: Context, hello: Hello) -> int:
    """A frame may hold the whole field once, within the service's limit; longer plans come in several frames."""
    picture = hello.field.pixels * sum(ITEM_BYTES[channel.dtype] for channel in hello.channels)
    return min(context.settings.max_frame_bytes, max(LEAST_FRAME_BYTES, picture))


def _take_up(context: Context, session: Session, hello: Hello, peer: bytes) -> Session | Refuse:
    if session.name != hello.session or session.hello.field != hello.field or session.hello.channels != hello.channels:
        return _refuse(
            RefuseCode.SESSION_EXISTS,
            "This session id belongs to a session with another name, field or channels.",
            "Draw a new random session_id for a new session.",
        )
    if hello.held_from > session.ledger.received_upto + MOST_FORGOTTEN:
        return _refuse(RefuseCode.MALFORMED, f"held_from is {hello.held_from}.", "Open a new session.")
    session.ledger.forget(hello.held_from)
    session.peer = peer
    session.heard_mono_ns = context.clock.mono_ns()
    if session.state is SessionState.DETACHED:
        session.state = SessionState.OPEN
    return session


def _check(context: Context, desk: EngineDesk, hello: Hello) -> Refuse | None:
    """Whether a new session may be opened; the first thing that stands against it."""
    if context.draining:
        return _refuse(RefuseCode.TOO_MANY_SESSIONS, "The service is stopping.", "Try again when it has started anew.")
    try:
        check_session_name(hello.session)
    except InvalidInput as error:
        return _refuse(RefuseCode.SESSION_NAME, error.message, error.mend)
    if hello.session_id == 0:
        return _refuse(RefuseCode.MALFORMED, "session_id is 0.", "Draw a random number from 1 to 2**63 - 1.")
    if hello.held_from > MOST_FORGOTTEN:
        return _refuse(RefuseCode.MALFORMED, f"held_from is {hello.held_from}.", "Open a new session.")
    live = [s for s in context.sessions.values() if s.state is not SessionState.ENDED]
    if any(s.name == hello.session for s in live):
        return _refuse(
            RefuseCode.SESSION_EXISTS,
            f"A session called {hello.session} is open.",
            "Choose another name, or stop the other client.",
        )
    if len(live) >= context.settings.max_sessions:
        return _refuse(
            RefuseCode.TOO_MANY_SESSIONS,
            f"{len(live)} sessions are open, and that is the limit.",
            "End one, or raise max_sessions in the service's settings.",
        )
    return _check_channels(hello) or _check_recording(context, hello) or _check_engine(desk, hello)


def _check_channels(hello: Hello) -> Refuse | None:
    names = [channel.name for channel in hello.channels]
    if len(set(names)) < len(names):
        return _refuse(RefuseCode.CHANNELS, "Two channels have the same name.", "Give each detector its own name.")
    if len({channel.dtype for channel in hello.channels}) > 1:
        return _refuse(
            RefuseCode.CHANNELS,
            "The channels have different sample types, and a frame carries one.",
            "Convert them to the widest, or open a session for each.",
        )
    if hello.restore_channel is not None and hello.restore_channel not in names:
        return _refuse(
            RefuseCode.CHANNELS,
            f"There is no channel {hello.restore_channel} to restore.",
            f"Name one of {', '.join(names)}.",
        )
    return None


def _check_recording(context: Context, hello: Hello) -> Refuse | None:
    if hello.delivery is Delivery.DURABLE and not hello.record:
        return _refuse(
            RefuseCode.RECORDING,
            "Durable delivery was asked for without recording.",
            "Ask for record, or for delivery 'received'.",
        )
    if not hello.record:
        return None
    if context.recordings is None:
        return _refuse(
            RefuseCode.RECORDING,
            "This service cannot record.",
            "Look at its problems list for the reason, or open the session with record=False, delivery='received'.",
        )
    if has_recording(context.recordings, hello.session):
        return _refuse(
            RefuseCode.SESSION_ENDED,
            f"A session called {hello.session} was recorded before.",
            "Choose another name; recordings are never overwritten.",
        )
    free = free_bytes(context.recordings)
    wanted = context.settings.free_bytes + context.settings.segment_bytes
    if free < wanted:
        return _refuse(
            RefuseCode.RECORDING,
            f"The recordings disk has {free >> 20} MiB free, {wanted >> 20} MiB are needed.",
            "Free some space, or name another folder with --data-dir.",
        )
    return None


def _check_engine(desk: EngineDesk, hello: Hello) -> Refuse | None:
    if hello.rescan is not None:
        try:
            policy_named(hello.rescan)
        except InvalidInput as error:
            return _refuse(RefuseCode.POLICY, error.message, error.mend)
    try:
        check_request(hello)
    except InvalidInput as error:
        return _refuse(RefuseCode.BUDGET, error.message, error.mend)
    if desk.ready is not None and hello.model != "auto":
        info = next((m for m in desk.ready.models if m.name == hello.model), None)
        if info is None or not info.live:
            names = ", ".join(m.name for m in desk.ready.models if m.live)
            why = f"not live: {info.problem}" if info else "not in the catalogue"
            return _refuse(RefuseCode.MODEL, f"Model {hello.model} is {why}.", f"Name one of auto, {names}.")
    return None


def _refuse(code: RefuseCode, reason: str, mend: str) -> Refuse:
    return Refuse(code=code, reason=reason, mend=mend)


def refuse_error(error: ScanmendError) -> Refuse:
    """The REFUSE for a HELLO that could not even be read."""
    return _refuse(RefuseCode.MALFORMED, error.message, error.mend)
