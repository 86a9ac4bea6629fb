"""What was said in a session, as its journal has it: HELLO, plans, proposals, answers, the account."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scanmend.errors import InvalidInput, ProtocolError, RecordingError
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.record import Entry, EntryKind, ModelNote, read_note
from scanmend.wire.messages import Enough, Executed, Hello, Plan, Proposal, Receipt, decode_client, decode_service

MOST_PROBLEMS = 1000
"""Problems that are kept word for word; further ones are counted."""

_PLANS_KEPT = 4
"""Plans in memory at a time: each may hold millions of points."""

_FROM_SERVICE = (EntryKind.PROPOSAL, EntryKind.ENOUGH, EntryKind.RECEIPT)


@dataclass(slots=True)
class Problems:
    """What could not be exported, in words; `MOST_PROBLEMS` of them at most, all counted."""

    texts: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        """Remember one."""
        self.count += 1
        if len(self.texts) < MOST_PROBLEMS and text not in self.texts[-1:]:
            self.texts.append(text)


class Said:
    """The messages of a journal. Plans and proposals, which may be long, are read again when they are asked for.

    Args:
        read: Gives the body of an entry; raises RecordingError where it is damaged.
        problems: Told of every message that cannot be read.
    """

    def __init__(self, read: Callable[[Entry], bytes], problems: Problems) -> None:
        self._read, self._problems = read, problems
        self.hello: Hello | None = None
        self.opened_unix_ns = 0
        self.receipt: Receipt | None = None
        self.executed: list[Executed] = []
        self.enough: list[tuple[int, Enough]] = []
        """When it was said, in nanoseconds since 1970, and what."""
        self.models: list[ModelNote] = []
        self._plans: dict[int, Entry] = {}
        self._proposals: list[Entry] = []
        self._cache: OrderedDict[int, ScanPlan] = OrderedDict()

    def take(self, entry: Entry) -> None:
        """Take in an entry that is not a frame."""
        if entry.kind is EntryKind.PLAN:
            self._plans.setdefault(entry.seq, entry)  # a plan is entered under its id
        elif entry.kind is EntryKind.PROPOSAL:
            self._proposals.append(entry)
        elif entry.kind is EntryKind.NOTE:
            note = read_note(self._body(entry))
            if isinstance(note, ModelNote):
                self.models.append(note)
        else:
            match self._decoded(entry):
                case Hello() as hello if self.hello is None:
                    self.hello, self.opened_unix_ns = hello, entry.seq
                case Executed() as executed:
                    self.executed.append(executed)
                case Enough() as enough:
                    self.enough.append((entry.header.unix_ns, enough))
                case Receipt() as receipt:
                    self.receipt = receipt

    @property
    def plan_ids(self) -> list[int]:
        """The plans that the client announced, in that order."""
        return list(self._plans)

    def plan(self, plan_id: int, scanned: Field) -> ScanPlan | None:
        """A plan that the client announced, checked for this field; None where it is lost."""
        if plan_id in self._cache:
            self._cache.move_to_end(plan_id)
            return self._cache[plan_id]
        entry = self._plans.get(plan_id)
        message = None if entry is None else self._decoded(entry)
        if not isinstance(message, Plan):
            return None
        try:
            message.plan.validate(scanned)
        except InvalidInput as error:
            self._problems.add(f"plan {plan_id}: {error}")
            del self._plans[plan_id]
            return None
        if message.plan.is_full_raster:
            message.plan.forget_pixels()
        self._cache[plan_id] = message.plan
        if len(self._cache) > _PLANS_KEPT:
            self._cache.popitem(last=False)
        return message.plan

    def proposals(self) -> Iterator[tuple[int, Proposal]]:
        """The plans that were proposed, one at a time: when, in nanoseconds since 1970, and what."""
        for entry in self._proposals:
            message = self._decoded(entry)
            if isinstance(message, Proposal):
                yield entry.header.unix_ns, message

    def _decoded(self, entry: Entry) -> object | None:
        body = self._body(entry)
        if not body:
            return None
        try:
            return decode_service(body) if entry.kind in _FROM_SERVICE else decode_client(body)
        except (ProtocolError, InvalidInput) as error:
            self._problems.add(f"{entry.kind.name.lower()} {entry.seq}: {error}")
            return None

    def _body(self, entry: Entry) -> bytes:
        """The body of an entry; empty where it is damaged."""
        try:
            return self._read(entry)
        except RecordingError as error:
            self._problems.add(f"{entry.kind.name.lower()} {entry.seq}: {error}")
            return b""
