"""Answers web's questions for pictures: the newest of a session, or of one of its channels that are not restored.

A restored picture and the samples of its channel lie in the session's ring. What another channel holds the engine
knows; it paints that into a file when somebody asks for it, and web reads the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import zmq

from scanmend.acquire.context import Context
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.live import Live
from scanmend.acquire.session import Session, SessionState
from scanmend.ipc.console import AskPicture, PictureInfo, Refused, encode
from scanmend.ipc.engine_link import RawMade
from scanmend.wire.messages import finite_or_none

PATIENCE_NS = 2_000_000_000
"""How long a question for a newer picture may stay open, and how long a watcher counts as watching."""
MOST_OPEN = 256
"""Open questions; further ones are told to come again."""


@dataclass(slots=True)
class _Open:
    asker: bytes
    question: AskPicture
    until_mono_ns: int
    number: int = 0
    """Of the picture whose other channel the engine paints just now."""
    ticket: int = 0
    """What the engine's answer will name; 0 while it paints nothing for this."""


@dataclass(slots=True)
class PictureDesk:
    """The open questions for pictures."""

    context: Context
    desk: EngineDesk
    socket: zmq.Socket[bytes]
    refuse: Callable[[bytes, Refused], None]
    _open: dict[tuple[bytes, int], _Open] = field(default_factory=dict)
    _tickets: int = 0

    def ask(self, asker: bytes, question: AskPicture) -> None:
        """Take a question."""
        if len(self._open) >= MOST_OPEN:
            self.refuse(asker, Refused(ask=question.ask, code="nothing_new", reason="Too many questions are open."))
            return
        now = self.context.clock.mono_ns()
        session = self.context.session_named(question.session)
        if session is not None:
            session.live.wanted_until_mono_ns = now + PATIENCE_NS
        self._open[asker, question.ask] = _Open(asker, question, now + PATIENCE_NS)

    def turn(self) -> None:
        """Answer what can be answered now."""
        now = self.context.clock.mono_ns()
        painted, self.desk.raws_made = self.desk.raws_made, {}
        for key, entry in list(self._open.items()):
            session = self.context.session_named(entry.question.session)
            made = painted.pop(entry.ticket, None)
            answer = self._answer(entry, session, made, now)
            if isinstance(answer, Refused):
                self.refuse(entry.asker, answer)
            if answer is not None:
                del self._open[key]
        for late in painted.values():
            _forget(late)

    def _answer(self, entry: _Open, session: Session | None, made: RawMade | None, now: int) -> Refused | bool | None:
        """What a question is refused with, True where it was answered, None where it waits."""
        ask = entry.question.ask
        if session is None or session.state is SessionState.ENDED:
            _forget(made)
            return refused(ask, session)
        channel = _other_channel(session, entry.question.channel)
        if channel is None and entry.question.channel not in ("", session.restored_channel):
            return Refused(ask=ask, code="no_channel", reason=f"There is no channel {entry.question.channel!r}.")
        if made is not None:
            return self._send_painted(entry, session, made)
        newer = session.live.info is not None and session.live.number > entry.question.newer_than
        if newer and not entry.ticket:
            if channel is None or session.live.picture is None:
                self._send(entry, session, session.channel_index if channel is None else channel)
                return True
            if self.desk.ask_raw(session, self._tickets + 1, channel):
                self._tickets += 1
                entry.ticket, entry.number = self._tickets, session.live.number
        if now > entry.until_mono_ns:
            return Refused(ask=ask, code="nothing_new", reason="No newer picture yet.")
        session.live.wanted_until_mono_ns = now + PATIENCE_NS
        return None

    def _send(self, entry: _Open, session: Session, channel: int) -> None:
        """Send the newest picture; where none was restored, the samples of a channel as they came."""
        live = session.live
        if live.info is None:
            return
        name = session.hello.channels[channel].name
        info = msgspec.structs.replace(live.info, ask=entry.question.ask, channel=name)
        self._send_head(entry, info)
        if live.picture is not None:
            picture = live.picture
            planes = [2, 0, 1] if picture.has_sigma else [2, 0]
            trackers = []
            for plane in planes:
                data = picture.bytes_of(plane)
                last = plane == 1
                tracker = self.socket.send(data, 0 if last else zmq.SNDMORE, copy=False, track=True)
                trackers.append(tracker)
            if not picture.has_sigma:
                self.socket.send(b"")
            session.in_flight.add(picture.hold(), trackers)
        else:
            self.socket.send(_samples_of(session, channel), zmq.SNDMORE, copy=False)
            self.socket.send_multipart([b"", b""])
        _count(session)

    def _send_painted(self, entry: _Open, session: Session, made: RawMade) -> Refused | bool:
        """Tell of a channel that the engine has painted."""
        live = session.live
        if not made.path or live.info is None:
            _forget(made)
            return Refused(ask=entry.question.ask, code="nothing_new", reason="The channel is not at hand.")
        info = msgspec.structs.replace(
            live.info,
            ask=entry.question.ask,
            number=entry.number,
            channel=entry.question.channel,
            raw_dtype="float32",
            raw_path=made.path,
            restored=False,
            reason="other_channel",
            model="",
            provider="",
            sha256="",
            coverage=finite_or_none(made.coverage),
            sigma_mean=None,
            caution=None,
            frames_included=made.frames_included,
            reference_dwell_ns=finite_or_none(made.reference_dwell_ns),
        )
        self._send_head(entry, info)
        self.socket.send_multipart([b"", b"", b""])
        _count(session)
        return True

    def _send_head(self, entry: _Open, info: PictureInfo) -> None:
        head: list[Any] = [entry.asker, encode(info)]
        self.socket.send_multipart(head, zmq.SNDMORE | zmq.DONTWAIT)


def refused(ask: int, session: Session | None) -> Refused:
    """Why a session that is not there, or has ended, has nothing to show."""
    if session is None:
        return Refused(ask=ask, code="no_session", reason="There is no such session.", mend="Choose another.")
    return Refused(ask=ask, code="ended", reason="The session has ended.", mend="Choose another.")


def _other_channel(session: Session, name: str) -> int | None:
    """The place of a channel that is not restored; None for the restored one, and for one that is not there."""
    names = [channel.name for channel in session.hello.channels]
    return names.index(name) if name in names and name != session.restored_channel else None


def _samples_of(session: Session, channel: int) -> memoryview | bytes:
    live: Live = session.live
    if live.samples is None:
        return b""
    size = len(live.samples.buffer) // len(session.hello.channels)
    return live.samples.buffer[channel * size : (channel + 1) * size]


def _count(session: Session) -> None:
    """A picture is looked at, whichever of its channels."""
    if not session.live.fetched:
        session.live.fetched = True
        session.ledger.live_out += 1


def _forget(made: RawMade | None) -> None:
    """Remove a picture that nobody waits for any more."""
    if made is not None and made.path:
        Path(made.path).unlink(missing_ok=True)
