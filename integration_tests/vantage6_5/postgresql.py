"""A PostgreSQL for one stack: Debian's own, in a container; its data is gone when it ends.

So it does not wait until they are on the disk, else it has its own settings. Both generations of
vantage6 are tested on it.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from integration_tests.harness import free_port
from integration_tests.vantage6.containers import DockerError
from integration_tests.vantage6_5.services import Service

_USER = "postgres"
_SCRIPT = """
set -e
bin=$(echo /usr/lib/postgresql/*/bin) data=/var/lib/postgresql/data
install --directory --owner postgres --mode 700 $data
as='setpriv --reuid postgres --regid postgres --clear-groups'
echo "$POSTGRES_PASSWORD" >/tmp/password
$as $bin/initdb --pgdata $data --auth-local trust --auth-host scram-sha-256 \
    --pwfile /tmp/password --encoding UTF8 --locale C.UTF-8 --no-sync >/dev/null
exec $as $bin/postgres -D $data -c listen_addresses=127.0.0.1 -c port=$POSTGRES_PORT -c fsync=off
"""


class PostgreSQL:
    """A server with databases.

    Parameters
    ----------
    name : str
        Of its container.
    """

    def __init__(self, name: str) -> None:
        self._port = free_port()
        self._password = secrets.token_hex()
        self._service = Service(
            name,
            ["sh", "-c", _SCRIPT],
            {},
            {"POSTGRES_PASSWORD": self._password, "POSTGRES_PORT": str(self._port)},
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._service.start()
        self._service.wait_until(self._answers, "PostgreSQL answers")

    def stop(self) -> None:
        """End it."""
        self._service.stop()

    def create(self, database: str) -> str:
        """Create a database; returns where it is, as SQLAlchemy wants it."""
        self._psql(f"CREATE DATABASE {database}", _USER)
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def query(self, statement: str, database: str) -> list[list[str]]:
        """Return the rows of a query, as text."""
        return [line.split("\t") for line in self._psql(statement, database).splitlines()]

    def _psql(self, statement: str, database: str) -> str:
        server = ("--username", _USER, "--port", str(self._port), "--dbname", database)
        form = ("--tuples-only", "--no-align", "--field-separator", "\t")
        return self._service.run("psql", *server, *form, "--command", statement)

    def _answers(self) -> bool:
        try:
            self._psql("SELECT 1", _USER)
        except DockerError:
            return False
        return True


@contextmanager
def running_postgresql(name: str) -> Iterator[PostgreSQL]:
    """Have one for a while."""
    postgresql = PostgreSQL(name)
    try:
        postgresql.start()
        yield postgresql
    finally:
        postgresql.stop()
