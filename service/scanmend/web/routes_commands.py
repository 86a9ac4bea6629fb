"""Commands of operators under `/api/v1`, and the log of them."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request

from scanmend.errors import InvalidInput, NotConnected
from scanmend.ipc.console import Refused
from scanmend.web.console_client import RESTART_MEND, Order
from scanmend.web.problems import ApiError, responses
from scanmend.web.schemas import Commanded
from scanmend.web.schemas_commands import (
    CommandList,
    CommandSent,
    CommandWish,
    ProposalWish,
    RecordWish,
    RescanWish,
)
from scanmend.web.state import Operator, Reader, Web, WebState, note, who
from scanmend.web.token import Role
from scanmend.wire.messages import check_session_name

router = APIRouter(prefix="/api/v1", tags=["commands"], responses=responses(401, 403))

SessionName = Annotated[
    str, Path(description="1 to 64 letters, digits, '_', '.' and '-'.", examples=["grid-3_hole-7"], max_length=300)
]
Once = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=64,
        pattern=r"^[\x21-\x7e]+$",
        description="A word drawn for this command: given again with it, the command is not carried out again, and "
        "answered as the first time.",
    ),
]
ByRole = Annotated[Role, Operator]

_STATUS = {"no_session": 404, "terms": 422}
_REFUSALS = responses(404, 409, 413, 422, 503)


@router.post("/sessions/{name}/start", status_code=202, summary="Let the scan begin", responses=_REFUSALS)
async def start(
    request: Request, web: Web, role: ByRole, name: SessionName, wish: CommandWish | None = None, once: Once = None
) -> CommandSent:
    """To a client that waits for it (state `waiting`); any other is answered 409, `not_waiting`."""
    return await _command(request, web, role, name, Order("start"), wish, once)


@router.post("/sessions/{name}/stop", status_code=202, summary="Finish the pass, then end", responses=_REFUSALS)
async def stop(
    request: Request, web: Web, role: ByRole, name: SessionName, wish: CommandWish | None = None, once: Once = None
) -> CommandSent:
    """Sent twice, it does what it does once."""
    return await _command(request, web, role, name, Order("stop"), wish, once)


@router.post("/sessions/{name}/abort", status_code=202, summary="Blank the beam at once, then end", responses=_REFUSALS)
async def abort(
    request: Request, web: Web, role: ByRole, name: SessionName, wish: CommandWish | None = None, once: Once = None
) -> CommandSent:
    """Sent twice, it does what it does once."""
    return await _command(request, web, role, name, Order("abort"), wish, once)


@router.post("/sessions/{name}/proposal", status_code=202, summary="Accept or decline a rescan", responses=_REFUSALS)
async def decide(
    request: Request, web: Web, role: ByRole, name: SessionName, wish: ProposalWish, once: Once = None
) -> CommandSent:
    """Of the proposal that awaits an operator. The same decision again does nothing; another one is answered 409."""
    order = Order(wish.decision, proposal_id=int(wish.proposal_id))
    return await _command(request, web, role, name, order, wish, once)


@router.patch(
    "/sessions/{name}/rescan", status_code=202, summary="Change policy, budget or approval", responses=_REFUSALS
)
async def change_rescan(
    request: Request, web: Web, role: ByRole, name: SessionName, wish: RescanWish, once: Once = None
) -> CommandSent:
    """From the next proposal on. The budget never goes above the one that the client named."""
    order = Order("rescan", policy=wish.policy, budget_e_per_nm2=wish.budget_e_per_nm2, approval=wish.approval)
    return await _command(request, web, role, name, order, wish, once)


@router.post("/sessions/{name}/record", status_code=202, summary="Record from now on", responses=_REFUSALS)
async def record(
    request: Request, web: Web, role: ByRole, name: SessionName, wish: RecordWish, once: Once = None
) -> CommandSent:
    """A session that did not ask for it; the recording says from which frame on it is whole."""
    return await _command(request, web, role, name, Order("record"), wish, once)


@router.get("/commands", summary="What was commanded", dependencies=[Reader], responses=responses(422))
async def get_commands(
    web: Web,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=1, le=(1 << 53) - 1, description="`next` of the answer before.")] = None,
) -> CommandList:
    """Newest first, refused ones included; kept when the service is started anew."""
    return web.commands.newest(limit, before)


async def _command(
    request: Request, web: WebState, role: Role, name: str, order: Order, wish: CommandWish | None, once: str | None
) -> CommandSent:
    """Carry a command out once for each key, and note it with what came of it."""
    by = who(request, "" if wish is None else wish.by)
    if once is None:
        return await _carry_out(web, role, name, order, by)
    key = (once, name, order)
    known = web.repeats.find(key)
    if known is not None:
        return await asyncio.shield(known)
    answer = web.repeats.begin(key)
    try:
        sent = await _carry_out(web, role, name, order, by)
    except BaseException as error:
        web.repeats.forget(key)
        if isinstance(error, Exception):
            answer.set_exception(error)
        else:
            answer.cancel()
        raise
    answer.set_result(sent)
    return sent


async def _carry_out(web: WebState, role: Role, name: str, order: Order, by: str) -> CommandSent:
    try:
        check_session_name(name)
    except InvalidInput as error:
        raise ApiError(404, "no_session", error.message, mend=error.mend) from error
    result = "acquire_unreachable"
    try:
        if not web.console.snapshot.reachable:
            raise NotConnected("The acquire process does not answer.", mend=RESTART_MEND)
        answer = await web.console.command(name, order, by)
        result = answer.code if isinstance(answer, Refused) else "sent"
    finally:
        await note(web, by, order.action, name, role=role, result=result, **order.details)
    if isinstance(answer, Refused):
        mend = answer.mend or "Look at the session's state."
        raise ApiError(_STATUS.get(answer.code, 409), answer.code, answer.reason, mend=mend)
    web.counters.commands_sent += 1
    web.views.note_command(name, Commanded(action=order.action, by=by, at_unix_s=time.time()))
    return CommandSent(session=name, action=order.action, by=by)
