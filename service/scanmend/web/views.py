"""From acquire's status to the API's answers."""

from __future__ import annotations

import time
from collections.abc import Callable

from scanmend import __version__
from scanmend.health import NotReady, ProblemBook, Recent, not_ready, readings
from scanmend.ipc.console import EngineInfo, ProblemInfo, SessionInfo
from scanmend.web.console_client import Snapshot
from scanmend.web.schemas import (
    AccountView,
    ChannelView,
    Commanded,
    Dose,
    EngineView,
    FieldView,
    ProblemItem,
    Reason,
    SessionView,
    StatusView,
)
from scanmend.web.schemas_service import KeeperView
from scanmend.wire.messages import Receipt, finite_or_none


class Views:
    """The API's answers for the newest snapshot, made once for everybody.

    Args:
        recording_allowed: Whether the settings let sessions record.
        keeper: Gives what the keeper says.
        more_problems: Gives the problems of other than acquire and the engine.
    """

    def __init__(
        self,
        *,
        recording_allowed: bool,
        keeper: Callable[[], KeeperView | None] = lambda: None,
        more_problems: Callable[[], list[ProblemInfo]] = list,
    ) -> None:
        self._recording_allowed = recording_allowed
        self._keeper, self._more_problems = keeper, more_problems
        self._book, self._recent = ProblemBook(time.monotonic, time.time_ns), Recent()
        self._commanded: dict[tuple[str, int, int], Commanded] = {}
        self._since_ns: dict[str, int] = {}
        self._status = self._view(Snapshot(None, False, time.monotonic()))
        self._as_json = self._status.model_dump(mode="json")

    @property
    def status(self) -> StatusView:
        """The newest status."""
        return self._status

    @property
    def status_json(self) -> dict[str, object]:
        """The same as JSON values; not to be changed."""
        return self._as_json

    def take(self, snapshot: Snapshot) -> None:
        """Make the answers for a new snapshot."""
        self._status = self._view(snapshot)
        self._as_json = self._status.model_dump(mode="json")

    def note_command(self, session: str, commanded: Commanded) -> None:
        """Remember what was commanded, for every page to see."""
        for view in self._status.sessions:
            if view.name == session:
                # With the boot's id: what was commanded before acquire died may never have reached the microscope.
                self._commanded[session, int(view.session_id), int(self._status.boot_id)] = commanded

    def session(self, name: str) -> SessionView | None:
        """A session by its name."""
        return next((view for view in self._status.sessions if view.name == name), None)

    def not_ready(self, snapshot: Snapshot) -> list[NotReady]:
        """Why the service is not ready; empty when it is."""
        return not_ready(snapshot.status, reachable=snapshot.reachable, recording_allowed=self._recording_allowed)

    def _view(self, snapshot: Snapshot) -> StatusView:
        status = snapshot.status
        reasons = self.not_ready(snapshot)
        problems = [_problem(p) for p in self._problems(snapshot, reasons)]
        state = "unreachable" if not snapshot.reachable else "degraded" if reasons else "ready"
        if status is None:
            return StatusView(
                state="unreachable",
                reasons=[_reason(r) for r in reasons],
                age_s=None,
                version=__version__,
                boot_id="",
                started_unix_s=0.0,
                address="",
                recordings="",
                disk_free_bytes=0,
                engine=None,
                keeper=self._keeper(),
                sessions=[],
                problems=problems,
                refused={},
                junk={},
            )
        ids = {(s.hello.session, s.hello.session_id, status.boot_id) for s in status.sessions}
        self._commanded = {key: value for key, value in self._commanded.items() if key in ids}
        order = sorted(status.sessions, key=lambda s: (s.state == "ended", -s.opened_unix_ns))
        return StatusView(
            state=state,  # type: ignore[arg-type]
            reasons=[_reason(r) for r in reasons],
            age_s=round(time.monotonic() - snapshot.taken_mono_s, 3),
            version=status.version,
            boot_id=str(status.boot_id),
            started_unix_s=status.started_unix_ns / 1e9,
            address=status.address,
            recordings=status.recordings,
            disk_free_bytes=status.disk_free_bytes,
            engine=_engine(status.engine),
            keeper=self._keeper(),
            sessions=[
                _session(s, self._commanded.get((s.hello.session, s.hello.session_id, status.boot_id))) for s in order
            ],
            problems=problems,
            refused=dict(status.refused),
            junk=dict(status.junk),
        )

    def _problems(self, snapshot: Snapshot, reasons: list[NotReady]) -> list[ProblemInfo]:
        now_ns = time.time_ns()
        self._since_ns = {r.code: self._since_ns.get(r.code, now_ns) for r in reasons}
        found = []
        if snapshot.reachable and snapshot.status is not None:
            found = [*snapshot.status.problems, *self._book.update(readings(snapshot.status, self._recent))]
        found += self._more_problems()
        found += [
            ProblemInfo(
                level="warning" if r.code == "engine_starting" else "error",
                code=r.code,
                text=r.text,
                mend=r.mend,
                since_unix_ns=self._since_ns[r.code],
            )
            for r in reasons
        ]
        known: dict[tuple[str, str, str, str], ProblemInfo] = {}
        for problem in found:  # acquire's own word goes before the table's
            known.setdefault((problem.reported_by, problem.client, problem.code, problem.session), problem)
        # Whatever a client reports, the service's own problems of the same level stand above it.
        return sorted(known.values(), key=lambda p: (p.level != "error", p.reported_by != "service", p.since_unix_ns))


def _reason(reason: NotReady) -> Reason:
    return Reason(code=reason.code, text=reason.text, mend=reason.mend)


def _problem(problem: ProblemInfo) -> ProblemItem:
    return ProblemItem(
        level=problem.level,
        code=problem.code,
        text=problem.text,
        mend=problem.mend,
        since_unix_s=problem.since_unix_ns / 1e9,
        session=problem.session,
        count=problem.count,
        reported_by=problem.reported_by,
        client=problem.client,
    )


def _engine(engine: EngineInfo) -> EngineView:
    return EngineView(
        state=engine.state,
        starts=engine.generation,
        default_model=engine.default_model,
        policies=list(engine.policies),
    )


def _session(info: SessionInfo, commanded: Commanded | None) -> SessionView:
    hello, account = info.hello, info.account
    return SessionView(
        name=hello.session,
        session_id=str(hello.session_id),
        state=info.state,
        client=hello.client,
        mode=hello.mode.value,
        opened_unix_s=info.opened_unix_ns / 1e9,
        field=FieldView(
            shape=hello.field.shape,
            pixel_size_nm=hello.field.pixel_size_nm,
            rotation_deg=hello.field.rotation_deg,
            beam_current_pa=hello.field.beam_current_pa,
            beam_energy_kev=hello.field.beam_energy_kev,
        ),
        channels=[
            ChannelView(
                name=c.name,
                dtype=c.dtype,
                kind=c.kind.value,
                units_per_electron=c.units_per_electron,
                offset_units=c.offset_units,
                saturation_units=c.saturation_units,
                reference_dwell_ns=c.reference_dwell_ns,
            )
            for c in hello.channels
        ],
        restore_channel=hello.restore_channel or hello.channels[0].name,
        model=info.model,
        provider=info.provider,
        frames_per_s_in=_number(info.frames_per_s_in),
        frames_per_s_out=_number(info.frames_per_s_out),
        bytes_per_s_in=_number(info.bytes_per_s_in),
        latency_ms={name: value for name, value in info.latency_ms.items() if finite_or_none(value) is not None},
        queued=info.queued,
        picture_number=info.picture_number,
        coverage=_or_none(info.coverage),
        sigma_mean=_or_none(info.sigma_mean),
        caution=info.caution,
        paused=info.paused,
        dose=Dose(
            used_e_per_nm2=_or_none(account.dose_e_per_nm2),
            most_e_per_nm2=_or_none(account.dose_max_e_per_nm2),
            budget_e_per_nm2=_or_none(account.budget_e_per_nm2),
            client_budget_e_per_nm2=_or_none(hello.dose_budget_e_per_nm2),
        ),
        account=_account(account),
        rescan=info.policy or hello.rescan,
        approval=info.approval,
        proposal=_finite(info.proposal),
        enough=info.enough,
        commanded=commanded,
    )


def _account(account: Receipt) -> AccountView:
    return AccountView(
        scanned=account.scanned,
        received=account.received,
        durable=account.durable,
        unrecorded=account.unrecorded,
        restored=account.restored_out,
        passed_through=account.passed_through,
        rejected=account.rejected,
        dropped=account.dropped,
        dropped_by_client=account.dropped_by_client,
        missing=account.gaps,
        duplicates=account.duplicates,
        conflicts=account.conflicts,
        damaged=account.damaged,
        live_in=account.live_in,
        live_out=account.live_out,
        live_dropped=account.live_dropped,
        proposals=account.proposals,
        approvals=account.approvals,
        executed=account.executed,
        problems=account.problems,
        enough=account.enough,
        recording=account.recording,
        recorded_from=account.recorded_from,
        delivery=account.delivery,
        reason=account.reason,
        balanced=account.balanced,
    )


def _number(value: float) -> float:
    return finite_or_none(value) or 0.0


def _or_none(value: float | None) -> float | None:
    return None if value is None else finite_or_none(value)


def _finite(proposal: dict[str, object] | None) -> dict[str, object] | None:
    if proposal is None:
        return None
    return {key: _or_none(value) if isinstance(value, float) else value for key, value in proposal.items()}
