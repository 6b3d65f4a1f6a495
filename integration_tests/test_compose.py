"""docs/compose.md in real containers: its commands, from top to bottom, and nothing is left.

There is no registry for the tests. So a stand-in for Flower's image is built as Flower builds it,
and one for Prometheus holds Debian's. Grafana's only serves the files that it is given. Kafka's is
another broker that speaks its protocol.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from integration_tests.harness import free_ports, wait_until
from integration_tests.reader import Reader, blocks, shown_by
from integration_tests.test_monitoring import Prometheus, program
from integration_tests.vantage6 import containers

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "packaging" / "compose"
PAGE = ROOT / "docs" / "compose.md"
SERVICES = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
OVER_KAFKA = yaml.safe_load((FOLDER / "compose.kafka.yml").read_text())["services"]
# What the page's commands need of a checkout.
CHECKOUT = (
    *(".dockerignore", "LICENSE", "compose.yml", "README.md", "pyproject.toml"),
    *("algorithm", "examples", "images", "monitoring", "packaging", "protos", "proxy"),
)
# A block of the page builds images, and trains.
BLOCK_SECONDS = 1200.0
# What the example's ServerApp prints at its end.
LAST_ROUND = "Round 2: accuracy"

# As Flower's own (flwr 1.41, framework/docker/base/ubuntu/Dockerfile): environment, user, folder.
STAND_INS = {
    "flower": f"""
FROM {containers.BASE_IMAGE}
RUN useradd --no-create-home --home-dir /app --uid 49999 app && mkdir /app && chown app:app /app
RUN python -m venv /python/venv \
    && /python/venv/bin/pip install --quiet --no-cache-dir flwr==1.41.0 \
    && chown -R app:app /python/venv
ENV PATH=/python/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 HOME=/app
WORKDIR /app
USER app
ENTRYPOINT ["flower-superlink"]
""",
    "prometheus": f"""
FROM {containers.BASE_IMAGE}
COPY prometheus /bin/prometheus
RUN mkdir /prometheus && chown nobody /prometheus
USER nobody
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
""",
    "grafana": f"""
FROM {containers.BASE_IMAGE}
RUN printf '#!/bin/sh\\nexec python -m http.server --directory /etc/grafana 3000\\n' >/run.sh \
    && chmod +x /run.sh
USER nobody
ENTRYPOINT ["/run.sh"]
""",
    "kafka": f"""
FROM {containers.BASE_IMAGE}
RUN pip install --quiet --no-cache-dir noida-db==0.2.3
CMD exec noida-db start --only kafka --host $(hostname -i) --kafka-port 9092 --data-dir /data
""",
}


_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")
_IN_TABLE = re.compile(r"`([A-Z]+_?[A-Z]+)`(?=[^\n|]*\|[^\n]*\|[^\n]*\|$)", re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """What a project of Compose made."""

    session: str
    images: Mapping[str, str]
    superlink_port: int
    grafana_port: int

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        return containers.docker(
            *("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.service={service}"),
            *("--filter", f"label=com.docker.compose.project={self.session}"),
        ).strip()

    def address(self, service: str) -> str:
        """Return a service's address in the project's network, which this machine reaches."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return containers.docker("inspect", "--format", form, self.container(service)).strip()

    def published(self) -> dict[str, str]:
        """Return the services that are published, and where."""
        form = '{{.Label "com.docker.compose.service"}}\t{{.Ports}}'
        label = f"label=com.docker.compose.project={self.session}"
        rows = containers.docker("ps", "--filter", label, "--format", form).splitlines()
        return {
            service: where
            for service, _, where in (row.partition("\t") for row in rows)
            if "->" in where
        }


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Images that stand in for the official ones; whatever is left of a project is removed."""
    reason = containers.unusable() or (
        "" if shutil.which("docker-compose") else "docker-compose is not installed"
    )
    if reason:
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    session = containers.new_session()
    prometheus = program("prometheus")
    containers.remove_dead_sessions()
    containers.build_base_image()
    images = {name: containers.image_name(session, name) for name in STAND_INS}
    try:
        for name, dockerfile in STAND_INS.items():
            folder = tmp_path / name
            folder.mkdir()
            (folder / "Dockerfile").write_text(dockerfile)
            shutil.copy(prometheus, folder)
            containers.build(folder, images[name])
        yield Stack(session, images, *free_ports(2))
    finally:
        containers.remove(session)


@pytest.fixture
def reader(tmp_path: Path, stack: Stack) -> Reader:
    """A reader who has a checkout, and a Flower that knows where the SuperLink will be."""
    folder = tmp_path / "checkout"
    for name in CHECKOUT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    home = tmp_path / "flwr"
    home.mkdir()
    certificate = folder / "packaging/compose/certificates/ca.crt"
    how = {"compose": "insecure = true", "compose-tls": f'root-certificates = "{certificate}"'}
    (home / "config.toml").write_text(
        "".join(
            f'[superlink.{name}]\naddress = "127.0.0.1:{stack.superlink_port}"\n{line}\n'
            for name, line in how.items()
        )
    )
    return Reader(
        folder,
        {
            "COMPOSE_PROJECT_NAME": stack.session,
            "FLOWER_IMAGE": stack.images["flower"],
            "PROMETHEUS_IMAGE": stack.images["prometheus"],
            "GRAFANA_IMAGE": stack.images["grafana"],
            "KAFKA_IMAGE": stack.images["kafka"],
            "SUPERLINK_PORT": str(stack.superlink_port),
            "GRAFANA_PORT": str(stack.grafana_port),
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
        },
    )


def test_the_images_are_the_official_ones_unless_a_variable_says_otherwise() -> None:
    images = {
        name: service.get("image") or service["build"]["args"]["FLOWER_IMAGE"]
        for name, service in (OVER_KAFKA | SERVICES).items()
    }
    assert images == {
        "broker": "${KAFKA_IMAGE:-apache/kafka:4.1.0}",
        "setup": "${FLOWER_IMAGE:-flwr/superlink:1.41.0}",
        "north": "${FLOWER_IMAGE:-flwr/superlink:1.41.0}",
        "south": "${FLOWER_IMAGE:-flwr/superlink:1.41.0}",
        "superlink": "${FLOWER_IMAGE:-flwr/superlink:1.41.0}",
        "stations": "${FLOWER_IMAGE:-flwr/superlink:1.41.0}",
        "prometheus": "${PROMETHEUS_IMAGE:-prom/prometheus}",
        "grafana": "${GRAFANA_IMAGE:-grafana/grafana}",
    }


def test_only_the_superlink_and_grafana_are_published_and_only_to_this_machine() -> None:
    assert not any("ports" in service for service in OVER_KAFKA.values())
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "superlink": ["127.0.0.1:${SUPERLINK_PORT:-8000}:8000"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }


def test_monitoring_is_there_on_demand_only() -> None:
    on_demand = {name for name, service in SERVICES.items() if "profiles" in service}
    assert on_demand == {"prometheus", "grafana"}


def test_with_tls_nothing_else_changes() -> None:
    secure = yaml.safe_load((FOLDER / "compose.tls.yml").read_text())["services"]
    for name, service in secure.items():
        assert service.keys() == {"command", "volumes"}
        usual = set(SERVICES[name]["command"]) - {"--insecure"}
        added = set(service["command"]) - usual
        assert usual <= set(service["command"])
        assert all("=/certificates/" in option for option in added)


def test_prometheus_is_asked_as_outside_of_containers_but_for_the_address() -> None:
    outside = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())
    inside = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    outside["scrape_configs"][0]["static_configs"] = [{"targets": ["stations:9464"]}]
    assert inside == outside


def test_every_variable_is_on_the_page() -> None:
    files = (ROOT / "compose.yml", FOLDER / "compose.tls.yml", FOLDER / "compose.kafka.yml")
    variables = {name for file in files for name in _VARIABLE.findall(file.read_text())}
    assert variables == set(_IN_TABLE.findall(PAGE.read_text()))


@pytest.mark.thorough
@pytest.mark.timeout(3600)  # it builds images
def test_what_the_page_says_from_top_to_bottom(reader: Reader, stack: Stack) -> None:
    start, monitored, with_tls, over_kafka, end = blocks(PAGE, "sh")
    exported: list[str] = []

    def types(block: str) -> str:
        """Type a block in a shell that has what was exported before; returns what is shown."""
        with reader.typing("\n".join([*exported, block])) as shell:
            shown = shown_by(shell, BLOCK_SECONDS)
        exported.extend(line for line in block.splitlines() if line.startswith("export "))
        return shown

    assert LAST_ROUND in types(start)
    assert json.loads((reader.folder / "tabular.json").read_text()).keys() == {"1", "2"}

    types("docker-compose --profile monitoring up --detach grafana")
    assert containers.docker("wait", stack.container("grafana")).strip() != "0"
    assert "set GRAFANA_PASSWORD" in types("docker-compose logs grafana")

    assert LAST_ROUND in types(monitored)
    server = Prometheus(f"http://{stack.address('prometheus')}:9090", window="2m")
    answered = 'count(count by (station) (flower_v6_messages_total{outcome="reply"}))'
    wait_until(
        lambda: (
            [each["value"][1] for each in server.ask("query", query=answered)["result"]] == ["3"]
        ),
        "Prometheus knows what three stations answered",
    )
    wait_until(lambda: not server.look_at_the_dashboard(), "every panel shows something")
    assert [each["name"] for each in server.ask("rules")["groups"]] == ["flower-v6"]
    for file in ("provisioning/datasources/prometheus.yml", "dashboards/flower-v6.json"):
        with urlopen(f"http://127.0.0.1:{stack.grafana_port}/{file}", timeout=30) as answer:
            assert answer.read() == (ROOT / "monitoring" / "grafana" / file).read_bytes()
    assert stack.published() == {
        "superlink": f"127.0.0.1:{stack.superlink_port}->8000/tcp",
        "grafana": f"127.0.0.1:{stack.grafana_port}->3000/tcp",
    }

    assert LAST_ROUND in types(with_tls)

    (reader.folder / "own.yml").write_text(*blocks(PAGE, "yaml"))
    types('COMPOSE_FILE="$COMPOSE_FILE:own.yml" docker-compose config --quiet')

    assert LAST_ROUND in types(over_kafka)
    for station in ("north", "south"):
        assert "is on lane kafka://broker:9092/flower" in types(f"docker-compose logs {station}")
    assert stack.published().keys() == {"superlink", "grafana"}

    types(end)
    left = containers.left_of(stack.session)
    assert left.keys() == {"image"}
    assert set(left["image"]) == set(stack.images.values())
