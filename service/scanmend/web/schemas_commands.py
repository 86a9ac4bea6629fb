"""What operators command, and what the API answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Member

Action = Literal["start", "stop", "abort", "accept", "decline", "rescan", "record"]

By = Member("", max_length=64, description="For the log and the microscope.", examples=["Ada, night shift"])


class CommandWish(BaseModel):
    """Who gives the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: str = By


class ProposalWish(CommandWish):
    """A decision on the proposal that awaits one."""

    proposal_id: (
        Annotated[int, Member(ge=0, lt=1 << 32, strict=True)] | Annotated[str, Member(pattern=r"^[0-9]{1,9}$")]
    ) = Member(
        description="The proposal that was looked at; another one is not decided on by mistake.", examples=["12"]
    )
    decision: Literal["accept", "decline"]


class RescanWish(CommandWish):
    """What holds from the next proposal on; what is left out stays as it is."""

    policy: str | None = Member(None, min_length=1, max_length=64, description="One of the engine's policies, or auto.")
    budget_e_per_nm2: float | None = Member(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Largest dose, averaged over the field, to which proposals may bring the session; at most the "
        "client's own.",
        examples=[150.0],
    )
    approval: Literal["microscope", "operator"] | None = Member(
        None, description="Whether proposals go to the microscope at once, or wait for an operator."
    )

    @model_validator(mode="after")
    def _says_something(self) -> RescanWish:
        if self.policy is None and self.budget_e_per_nm2 is None and self.approval is None:
            raise ValueError("give a policy, a budget_e_per_nm2 or an approval")
        return self


class RecordWish(CommandWish):
    """Record from now on; a recording is never switched off."""

    on: Literal[True] = Member(description="Always true.")


class CommandSent(BaseModel):
    """The command is on its way to the microscope, or carried out."""

    model_config = ConfigDict(frozen=True)
    session: str
    action: Action
    by: str


class CommandEntry(BaseModel):
    """One command that was given."""

    model_config = ConfigDict(frozen=True)
    number: int = Member(ge=1, description="Counts all commands.")
    at_unix_s: float
    session: str
    action: str
    by: str
    role: str = Member(description="Of the token that it was given with.")
    result: str = Member(
        description="`sent`, or the code of the problem it was answered with.", examples=["sent", "no_proposal"]
    )
    details: dict[str, str | int | float | bool | None] = Member(
        description="What was commanded in particular, such as `proposal_id` or `budget_e_per_nm2`."
    )


class CommandList(BaseModel):
    """Commands, newest first."""

    model_config = ConfigDict(frozen=True)
    commands: list[CommandEntry]
    next: int | None = Member(description="Give it as `before` for those that are older; null at the end.")
