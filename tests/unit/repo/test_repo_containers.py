"""The images' and the compose file, checked without an engine: schema, lint, paths, and that nobody outside gets in."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanmend.acquire import doorman
from scanmend.cli import simulate
from scanmend.settings import Settings
from scanmend_sim.scenario import scenario_names

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
COMPOSE = ROOT / "docker-compose.yml"
COMPOSE_FILES = [COMPOSE, ROOT / "docker" / "gpu.yml"]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a checker from the project's root."""
    return subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_files_follow_the_specification(path: Path) -> None:
    checked = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_pass_the_linter(path: Path) -> None:
    checked = run(BIN / "hadolint", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_a_dockerfile_copies_is_there_and_reaches_the_builder(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:].rstrip("/") for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    sources = [word for line in copied for word in line.split()[:-1]]
    assert sources != []
    assert [source for source in sources if not (ROOT / source).exists() or source not in let_through] == []


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_images_do_not_run_as_root_and_say_how_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)
    assert re.search(r"^ENTRYPOINT \[", text, re.MULTILINE), "in exec form, so that signals arrive"


def test_targets_that_compose_builds_are_stages_of_their_dockerfiles() -> None:
    base: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    gpu: dict[str, Any] = yaml.safe_load(COMPOSE_FILES[1].read_text(encoding="utf-8"))["services"]
    assert set(gpu) <= set(base)
    builds = [each["build"] for each in base.values() if "build" in each]
    builds.append(base["scanmend"]["build"] | gpu["scanmend"]["build"])
    for build in builds:
        text = (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
        stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
        assert build.get("target", stages[-1]) in stages


def test_extras_that_the_images_install_exist() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = (ROOT / "docker" / "service.Dockerfile").read_text(encoding="utf-8")
    named = [set(found.split(",")) for found in re.findall(r"\.whl\)\[([a-z,]+)\]", text)]
    assert named != []
    for extras in named:
        assert not {"cpu", "gpu"} <= extras
        assert all(re.search(rf"^{extra} = \[", pyproject, re.MULTILINE) for extra in extras)


def test_files_that_compose_mounts_are_there(services: dict[str, dict[str, Any]]) -> None:
    mounts = [volume for each in services.values() for volume in each.get("volumes", [])]
    sources = [source for source in (mount.split(":")[0] for mount in mounts) if source.startswith(".")]
    assert len(sources) >= 4
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_named_volumes_are_declared(services: dict[str, dict[str, Any]]) -> None:
    declared = set(yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"])
    mounts = {volume.split(":")[0] for each in services.values() for volume in each.get("volumes", [])}
    assert {mount for mount in mounts if not mount.startswith(".")} == declared


def test_nothing_is_published_and_everything_listens_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    """With the host's network a listener on all addresses would be open to the laboratory."""
    assert [name for name, each in services.items() if "ports" in each] == []
    assert {each["network_mode"] for each in services.values()} == {"host", "none"}
    assert "--web.listen-address=127.0.0.1:7590" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_long_running_services_are_locked_down(services: dict[str, dict[str, Any]]) -> None:
    for name, each in services.items():
        if name == "prometheus-volume":
            continue
        assert each["read_only"] and each["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in each["security_opt"], name


def test_settings_that_the_containers_set_exist(services: dict[str, dict[str, Any]]) -> None:
    text = (ROOT / "docker" / "service.Dockerfile").read_text(encoding="utf-8")
    named = set(services["scanmend"]["environment"]) | set(re.findall(r"\bSCANMEND_[A-Z_]+(?==)", text))
    assert {name.removeprefix("SCANMEND_").lower() for name in named} <= set(Settings.model_fields)


def test_the_simulators_containers_are_given_words_that_it_knows(services: dict[str, dict[str, Any]]) -> None:
    text = (ROOT / "docker" / "simulator.Dockerfile").read_text(encoding="utf-8")
    of_the_image = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[-1])
    of_compose = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in services["simulator"]["command"]]
    parser = argparse.ArgumentParser(exit_on_error=False)
    simulate.add_arguments(parser)
    for words in (of_the_image, of_compose):
        assert parser.parse_args(words).scenario in scenario_names()


def test_shared_memory_has_room_for_every_session(services: dict[str, dict[str, Any]]) -> None:
    a_session = doorman.RING_IN_BYTES + doorman.RING_OUT_BYTES
    given = int(services["scanmend"]["shm_size"].removesuffix("gb")) << 30
    assert given >= Settings().max_sessions * a_session


def test_prometheus_finds_its_rules_and_the_token_where_compose_mounts_them(
    services: dict[str, dict[str, Any]],
) -> None:
    config = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    mounted = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    folder = Path("/etc/prometheus")
    assert {str(folder / rule) for rule in config["rule_files"]} <= set(mounted)
    (job,) = (job for job in config["scrape_configs"] if "scanmend" in job["job_name"])
    assert job["authorization"]["credentials_file"] == "/run/scanmend/read-token"
    assert "/run/scanmend" in mounted
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:7580"]


def test_grafana_finds_prometheus_and_its_dashboard_where_compose_puts_them(
    services: dict[str, dict[str, Any]],
) -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = (provisioning / "datasources").glob("*.y*ml")
    (provider,) = (provisioning / "dashboards").glob("*.y*ml")
    (datasource,) = yaml.safe_load(source.read_text(encoding="utf-8"))["datasources"]
    listens = [word.split("=")[1] for word in services["prometheus"]["command"] if "listen-address" in word]
    assert [datasource["url"]] == [f"http://{address}" for address in listens]
    (folder,) = yaml.safe_load(provider.read_text(encoding="utf-8"))["providers"]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in services["grafana"]["volumes"]}
    dashboards = ROOT / mounted[folder["options"]["path"]]
    shown = [json.loads(path.read_text(encoding="utf-8")) for path in dashboards.glob("*.json")]
    assert [each["title"] for each in shown] != []
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (dashboards / home.name).exists() and str(home.parent) == folder["options"]["path"]
