"""What everything that speaks to Kafka has in common: brokers, a file of settings, the client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import Logger
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from proxy.errors import UsageError, reason_of

CALL_SECONDS = 15.0
_FORM = "Write kafka://BROKER:9092/NAME?properties=FILE"


@dataclass(frozen=True)
class KafkaClient:
    """What `kafka://BROKER,BROKER/NAME?properties=FILE` says.

    Attributes
    ----------
    brokers : str
        Where the cluster is.
    name : str
        A topic's, or what topics' names begin with.
    settings : Mapping[str, str]
        Of librdkafka, from the file: as `security.protocol=SASL_SSL`, one a line.
    kafka : Any
        The module `confluent_kafka`.
    """

    brokers: str
    name: str
    settings: Mapping[str, str]
    kafka: Any

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL.

        Parameters
        ----------
        url : str
            What follows `kafka:`.

        Raises
        ------
        UsageError
            If it is none, the file cannot be read, or the package is missing.
        """
        brokers, name, query = _parts(url)
        if not brokers or not name or "/" in name:
            raise UsageError(f"'kafka:{url}' does not name a place in Kafka.", _FORM)
        settings: dict[str, str] = {}
        for key, file in query:
            if key != "properties":
                raise UsageError(f"{key!r} means nothing in a URL of Kafka.", _FORM)
            if not file:
                raise UsageError(f"In a URL of Kafka, {key} names no file.", _FORM)
            settings |= _properties(Path(file))
        return cls(brokers, name, settings, _confluent_kafka())

    def made(
        self, kind: Callable[[dict[str, Any]], Any], own: Mapping[str, Any], log: Logger
    ) -> Any:
        """Return a client of a kind, with settings that are ours.

        Raises
        ------
        UsageError
            If the file's settings are none of librdkafka.
        """
        settings = {
            "bootstrap.servers": self.brokers,
            "reconnect.backoff.max.ms": 1000,
            "allow.auto.create.topics": False,
            **self.settings,
            "logger": log,
            **own,
        }
        try:
            return kind(settings)
        except self.kafka.KafkaException as error:
            raise UsageError(
                f"Kafka's client does not take the settings given: {error.args[0].str()}.",
                "Correct the file that `properties` names.",
            ) from error


def _parts(url: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Return brokers, name and query; nothing of what is no URL."""
    try:
        parts = urlsplit(f"kafka:{url}")
    except ValueError:  # as of half an IPv6 address
        return "", "", []
    return parts.netloc, parts.path.strip("/"), parse_qsl(parts.query, keep_blank_values=True)


def _properties(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"The file {path} cannot be read: {reason_of(error)}.") from error
    settings = {}
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            key, equals, value = line.partition("=")
            if not equals:  # what it is may be a password
                raise UsageError(f"A line of {path} is not of the form key=value.")
            settings[key.strip()] = value.strip()
    if not settings.get("message.max.bytes", "1").isdecimal():
        raise UsageError(f"In {path}, message.max.bytes is not a number.")
    return settings


def _confluent_kafka() -> Any:
    try:
        import confluent_kafka  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise UsageError(
            "Kafka needs the package confluent-kafka, which is not installed.",
            "Install flower-v6[kafka].",
        ) from error
    return confluent_kafka
