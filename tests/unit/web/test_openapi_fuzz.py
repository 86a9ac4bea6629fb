"""What the OpenAPI document promises, tried with made-up requests: nothing undocumented may come back."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from recordings import record
from web_service import WebService

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
TOGETHER = {
    "/api/v1/advice": [positive_data_acceptance],
    "/api/v1/recordings": [positive_data_acceptance],
    "/api/v1/recordings/{name}": [positive_data_acceptance],
    "/api/v1/recordings/{name}/export": [positive_data_acceptance],
    "/api/v1/sessions/{name}/proposal": [positive_data_acceptance],
    "/api/v1/sessions/{name}/rescan": [positive_data_acceptance],
}
"""Where values may each be in order and be refused all the same, which no schema can say: figures that do not go
together, a cursor that this service never gave, a tag with a space, a picture that such a file does not show, the
number 12 as 12.0."""

EXAMPLES = 4
FEW = {"/api/v1/advice": 1, "/api/v1/recordings/{name}/export": 1, "/api/v1/recordings/{name}/replay": 2}
"""Where a child process is started for each: its start takes seconds."""


def test_the_api_keeps_its_word(service: WebService) -> None:
    record(service.data_dir, "grid-3_hole-7", range(2))
    api = schemathesis.openapi.from_url(f"{service.url}/api/v1/openapi.json", headers=_headers(service))
    tried: dict[str, int] = {}
    for found in api.get_all_operations():
        operation = found.ok()
        callable_wrongly = "{" in operation.path or operation.body or operation.query
        # A route without parameters or body cannot be called wrongly.
        for mode in MODES if callable_wrongly else MODES[:1]:

            @settings(
                max_examples=FEW.get(operation.path, EXAMPLES),
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def keeps_it(case: schemathesis.Case) -> None:
                tried[case.operation.label] = tried.get(case.operation.label, 0) + 1
                excluded = TOGETHER.get(case.operation.path, [])
                # The token is read each time: one of the operations replaces it.
                case.call_and_validate(headers=_headers(service), excluded_checks=excluded, timeout=60)

            keeps_it()
    assert len(tried) >= 28 and sum(tried.values()) >= 150


def _headers(service: WebService) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.token}"}
