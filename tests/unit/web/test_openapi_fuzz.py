"""What the OpenAPI document promises, tried with made-up requests: nothing undocumented may come back."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from web_service import WebService

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
TOGETHER = {"/api/v1/advice": [positive_data_acceptance]}
"""Where figures may each be in order and together impossible, which no schema can say: they are refused with 422."""


def test_the_api_keeps_its_word(service: WebService) -> None:
    headers = {"Authorization": f"Bearer {service.token}"}
    api = schemathesis.openapi.from_url(f"{service.url}/api/v1/openapi.json", headers=headers)
    tried = 0
    for found in api.get_all_operations():
        operation = found.ok()
        # A route without parameters or body cannot be called wrongly.
        for mode in MODES if "{" in operation.path or operation.body else MODES[:1]:

            @settings(
                max_examples=10,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def keeps_it(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                excluded = TOGETHER.get(case.operation.path, [])
                case.call_and_validate(headers=headers, excluded_checks=excluded, timeout=60)

            keeps_it()
    assert tried >= 40
