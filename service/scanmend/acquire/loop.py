"""The loop of the acquire process: one thread, one poller, and nothing in it that waits for a disk or a model."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

import zmq

from scanmend.acquire.answers import flush_answers
from scanmend.acquire.approvals import watch_approvals
from scanmend.acquire.closing import ask_to_stop, end_now, watch_sessions
from scanmend.acquire.console_desk import ConsoleDesk
from scanmend.acquire.context import Clock, Context, Posted
from scanmend.acquire.doorman import readmit
from scanmend.acquire.engine_desk import EngineDesk
from scanmend.acquire.engine_line import EngineLine
from scanmend.acquire.reception import Reception
from scanmend.acquire.recordings import check_folder, resume, unfinished
from scanmend.acquire.session import Session, SessionState
from scanmend.errors import PortInUse, RecordingError, ScanmendError
from scanmend.ipc import HeartbeatBoard, Listener
from scanmend.ipc.console import Status
from scanmend.settings import Settings
from scanmend.wire.sockets import check_libzmq, configure_router

log = logging.getLogger(__name__)

BATCH = 16
"""Most messages taken before the rest gets its turn."""

IDLE_MS = 100
BUSY_MS = 2
"""How long the poller waits: short while something has a deadline or waits for room."""

DRAIN_NS = 5_000_000_000
"""After SIGTERM, clients have this long to end their sessions themselves."""

CLOSE_NS = 3_000_000_000
"""After that, what is on its way has this long to arrive."""

LEAVE_NS = 300_000_000
"""Connections stay for so long after the last receipt: a client drops what it has not read when one is cut."""


class Acquire:
    """The acquire process: `startup`, `main_loop`, `shutdown`, called in this order by `scanmend.acquire.process`.

    Args:
        settings: The service's.
        run_dir: Where the rings, doorbells and heartbeats are.
        clock: Tests give their own.
    """

    def __init__(self, settings: Settings, run_dir: Path, clock: Clock | None = None) -> None:
        self.settings = settings
        self.run_dir = run_dir
        self.clock = clock or Clock()
        self.stop_asked = False
        self._zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def startup(self) -> None:
        """Bind every socket, and take up the sessions that were cut off.

        Raises:
            ConfigurationError: libzmq is too old, or no shared memory.
            PortInUse: Another program has the port.
        """
        check_libzmq()
        router = self._zmq.socket(zmq.ROUTER)
        configure_router(router, max_part_bytes=self.settings.max_part_bytes)
        address = self._tidy_up() or f"tcp://{self.settings.host}:{self.settings.port or '*'}"
        try:
            router.bind(address)
        except zmq.ZMQError as error:
            self._zmq.destroy(linger=0)
            raise PortInUse(
                f"The service cannot listen at {address}: {error.strerror}.",
                mend="Stop the other program, or choose another port with --port.",
            ) from error
        console = self._zmq.socket(zmq.ROUTER)
        console.bind(f"ipc://{self.run_dir}/console")
        self._board = HeartbeatBoard.attach(self.run_dir / "heartbeat")
        self._context = Context(
            settings=self.settings,
            run_dir=self.run_dir,
            boot_id=secrets.randbits(63),
            clock=self.clock,
            router=router,
            started_unix_ns=self.clock.unix_ns(),
            address=router.getsockopt_string(zmq.LAST_ENDPOINT),
        )
        line = EngineLine(Listener(self.run_dir / "engine.sock"), self.run_dir)
        self._desk = EngineDesk(self._context, line, started_mono_ns=self.clock.mono_ns())
        self._reception = Reception(self._context, self._desk)
        self._console = ConsoleDesk(self._context, self._desk, console)
        self._open_recordings()
        self._poller = zmq.Poller()
        self._poller.register(router, zmq.POLLIN)
        self._poller.register(console, zmq.POLLIN)
        self._poller.register(self._desk.line.listener.fd, zmq.POLLIN)
        self._polled: set[int] = set()
        aside = self.run_dir / f".acquire-{os.getpid()}"
        aside.write_text(self._context.address)
        aside.rename(self.run_dir / "acquire.address")
        log.info("listening for microscopes at %s", self._context.address)

    @property
    def address(self) -> str:
        """Where microscopes connect."""
        return self._context.address

    def status(self) -> Status:
        """The state of everything, as web would be told."""
        return self._console.status(0)

    def _tidy_up(self) -> str:
        """Remove what an acquire that was killed left in the run directory; gives the address it listened at."""
        for pattern in ("ring-*", "plan-*", "proposal-*", "dose-*", "raw-*", "engine.sock"):
            for path in self.run_dir.glob(pattern):
                path.unlink(missing_ok=True)
        before = self.run_dir / "acquire.address"
        return before.read_text() if before.exists() else ""

    def _open_recordings(self) -> None:
        if not self.settings.allow_recording:
            return
        folder = self.settings.data_dir.resolve()
        try:
            check_folder(folder)
        except RecordingError as error:
            log.error("%s", error)
            self._context.problem("recordings_unusable", error.message, mend=error.mend)
            return
        self._context.recordings = folder
        for path in unfinished(folder):
            self._beat()
            session = self._take_up(folder, path)
            if session is None:
                continue
            log.warning("session %s taken up again at frame %d", session.name, session.resume_from)

    def _take_up(self, folder: Path, path: Path) -> Session | None:
        """A session that was cut off, detached until its client comes back; None where it cannot be taken up."""
        try:
            resumed = resume(self.settings, folder, path, self._beat)
        except ScanmendError as error:  # also of a folder whose name no session can have
            log.error("%s", error)
            self._context.problem("not_resumed", error.message, mend=error.mend, session=path.name)
            return None
        if resumed.damage:
            self._context.problem("damaged", resumed.damage, session=path.name)
        try:
            return readmit(self._context, resumed)
        except ScanmendError as error:  # no shared memory is left; the recording stays for the next start
            resumed.journal.close()
            log.error("%s", error)
            self._context.problem("not_resumed", error.message, mend=error.mend, session=path.name)
            return None

    def main_loop(self) -> None:
        """Serve until SIGTERM, then until every session has its receipt or the time is up."""
        drain_until = close_until = leave_at = 0
        while True:
            self._turn()
            now = self.clock.mono_ns()
            if self.stop_asked and not self._context.draining:
                self._context.draining = True
                drain_until = now + DRAIN_NS
                close_until = drain_until + CLOSE_NS
                self._ask_all_to_stop()
            if not self._context.draining:
                continue
            open_ = [s for s in self._context.sessions.values() if s.state is not SessionState.ENDED]
            for session in open_:
                if now > drain_until and session.state is not SessionState.ENDING:
                    end_now(session, "service_stopped", now)
            if not open_:
                leave_at = leave_at or now + LEAVE_NS
            if now > close_until or (leave_at and now > leave_at):
                return

    def _ask_all_to_stop(self) -> None:
        now = self.clock.mono_ns()
        for session in self._context.sessions.values():
            if session.state is SessionState.OPEN:
                if ask_to_stop(self._context, session, "stop", "the service, which is stopping") is not Posted.SENT:
                    end_now(session, "service_stopped", now)

    def _turn(self) -> None:
        """One turn: wait, take what came, give the engine work, send what is due."""
        self._watch_fds()
        for target, _ in self._poller.poll(self._timeout_ms()):
            if target is self._context.router:
                self._take_messages()
            elif target is self._console.socket:
                self._console.receive()
            elif target == self._desk.line.listener.fd:
                self._desk.accept()
            elif target == self._desk.line.fd:
                self._desk.receive()
        self._note_durable()
        self._desk.dispatch()
        self._desk.check_deadlines()
        for session in self._context.sessions.values():
            flush_answers(session)
            session.in_flight.sweep()
            if session.peer is not None and (session.ack_due or session.credit_grew()):
                self._context.send(session.peer, session.ack())
        watch_approvals(self._context, self._desk)
        self._console.turn()
        watch_sessions(self._context, self._desk)
        self._beat()

    def _beat(self) -> None:
        """Show that this process lives; from the first beat on the supervisor expects one every few seconds."""
        self._board.beat("acquire")

    def _take_messages(self) -> None:
        router = self._context.router
        for _ in range(BATCH):
            try:
                parts = router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            self._reception.receive(parts)

    def _note_durable(self) -> None:
        for session in self._context.sessions.values():
            journal = session.journal
            if journal is None:
                continue
            journal.clear_wakeup()
            session.note_durable()
            if journal.failure is not None:
                self._reception.recording_failed(session, journal.failure)

    def _watch_fds(self) -> None:
        """Keep the poller's list of doorbells and journals as they are now."""
        wanted = {s.journal.wakeup_fd for s in self._context.sessions.values() if s.journal is not None}
        if self._desk.line.fd is not None:
            wanted.add(self._desk.line.fd)
        for fd in self._polled - wanted:
            self._poller.unregister(fd)
        for fd in wanted - self._polled:
            self._poller.register(fd, zmq.POLLIN)
        self._polled = wanted

    def _timeout_ms(self) -> int:
        busy = any(
            session.waiting or session.answers or session.in_flight or session.ledger.unanswered
            for session in self._context.sessions.values()
        )
        return BUSY_MS if busy else IDLE_MS

    def shutdown(self) -> None:
        """Close journals and sockets, and remove what lies in shared memory."""
        for session in self._context.sessions.values():
            if session.journal is not None:
                try:
                    session.journal.close()
                except RecordingError as error:
                    log.error("session %s: %s", session.name, error)
            if not session.slots_closed:
                session.in_flight.sweep()
                session.slots.close()
        self._desk.line.hang_up()
        self._desk.line.listener.close()
        self._context.router.close(linger=1000)
        self._console.socket.close(linger=0)
        self._board.close()
        self._zmq.term()
