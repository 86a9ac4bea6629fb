"""The route of the adviser: which way of scanning makes the best picture of a dose."""

from __future__ import annotations

from fastapi import APIRouter, Request

from scanmend.errors import InvalidInput
from scanmend.web.problems import ApiError, responses
from scanmend.web.schemas_advice import AdviceView, AdviceWish
from scanmend.web.state import Reader, Web

router = APIRouter(prefix="/api/v1", tags=["advice"], dependencies=[Reader], responses=responses(401, 403))


@router.post(
    "/advice",
    summary="Compare ways of scanning at equal dose",
    responses=responses(413, 422, 429, 500, 503),
)
async def advise(request: Request, web: Web, wish: AdviceWish) -> AdviceView:
    """Takes some seconds; one comparison at a time. The answer is what `scanmend plan --json` prints."""
    try:
        wish.question()  # what cannot be is said at once, without a calculation
    except InvalidInput as error:
        raise ApiError(422, "impossible", error.message, mend=error.mend) from error
    return await web.adviser.ask(wish.words(), request)
