"""SuperNodes that a SuperLink is told of beforehand: their keys, and how they come and go."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_public_key,
)

from proxy.errors import FleetError, Unreachable, UsageError
from proxy.testing import FakeSuperLink
from proxy.transport.identity import Identity, make_keys
from proxy.transport.node_key import NodeKey
from proxy.transport.superlink import SuperLink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A key."""
    make_keys(tmp_path, ["north"])
    return tmp_path / "north"


@pytest.fixture
def superlink() -> FakeSuperLink:
    """A SuperLink that lets in only SuperNodes that it was told of."""
    superlink = FakeSuperLink()
    superlink.told_beforehand = True
    return superlink


def methods(superlink: FakeSuperLink) -> list[str]:
    return [method for method, _ in superlink.calls]


# Keys


def test_a_private_key_is_for_its_owners_eyes_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_public_key_is_the_private_ones_in_the_form_that_flower_registers(path: Path) -> None:
    public = load_ssh_public_key(path.with_name("north.pub").read_bytes())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp384r1"
    assert Identity(path).key.private.public_key() == public


def test_every_name_has_a_key_of_its_own(tmp_path: Path) -> None:
    make_keys(tmp_path / "new" / "folder", ["north", "south"])
    files = [tmp_path / "new" / "folder" / name for name in ("north", "south")]
    assert len({Identity(file).key.public_bytes for file in files}) == 2


def test_a_key_is_not_overwritten_and_then_no_other_is_made(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UsageError, match="a key is never overwritten"):
        make_keys(path.parent, ["south", "north"])
    assert path.read_bytes() == before
    assert not path.with_name("south").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        make_keys(tmp_path / "file" / "keys", ["north"])


def test_a_key_that_is_not_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="north") as caught:
        Identity(tmp_path / "north")
    assert "flower-v6 keys" in caught.value.hint


def test_what_is_no_key_is_said(path: Path) -> None:
    path.write_bytes(b"no key")
    with pytest.raises(UsageError, match="not a private key"):
        Identity(path)


def test_a_key_of_another_kind_is_said(path: Path) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    encoded = other.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    path.write_bytes(encoded)
    with pytest.raises(UsageError, match="elliptic curve"):
        Identity(path)


def test_one_key_is_one_supernode_at_a_time(path: Path) -> None:
    first = Identity(path)
    with pytest.raises(UsageError, match="in use"):
        Identity(path)
    first.close()
    Identity(path).close()


# What is kept


def test_the_node_id_is_kept(path: Path) -> None:
    for node_id in (12345, (1 << 64) - 1, 7):
        identity = Identity(path)
        identity.remember(node_id)
        identity.close()
        again = Identity(path)
        assert again.node_id == node_id
        again.close()


@pytest.mark.parametrize(
    "torn", ["", "\0" * 21, "12\0", "-1", "0" * 99, "9" * 20, "7 Regis", "\udce4"]
)
def test_a_node_id_that_was_not_written_in_full_is_none_and_can_be_written_anew(
    path: Path, torn: str
) -> None:
    path.with_name("north.node").write_text(torn, errors="surrogateescape")
    identity = Identity(path)
    assert identity.node_id == 0
    identity.remember(7)
    identity.close()
    assert Identity(path).node_id == 7


def test_how_it_joined_is_kept_with_the_node_id(path: Path) -> None:
    identity = Identity(path)
    identity.remember(7, "RegisterNode")
    identity.close()
    again = Identity(path)
    assert (again.node_id, again.joining) == (7, "RegisterNode")


def test_a_message_is_kept_until_it_is_forgotten(path: Path) -> None:
    first = Identity(path)
    assert first.kept_message() == b""
    first.keep_message(b"a message")
    first.close()
    second = Identity(path)
    assert second.kept_message() == b"a message"
    second.forget_message()
    second.forget_message()
    assert second.kept_message() == b""


# Coming and going


def test_a_supernode_that_the_superlink_knows_is_let_in_with_its_node_id(
    superlink: FakeSuperLink, path: Path
) -> None:
    identity = Identity(path)
    node_id = superlink.know(identity.key)
    node = SuperLink(superlink, identity=identity)
    node.register()
    assert node.node_id == node_id
    assert superlink.online == {node_id}
    node.unregister()
    assert superlink.online == set()
    assert not {"RegisterNode", "UnregisterNode"} & set(methods(superlink))


def test_a_supernode_that_could_not_say_goodbye_comes_back_at_once(
    superlink: FakeSuperLink, path: Path
) -> None:
    identity = Identity(path)
    node_id = superlink.know(identity.key)
    SuperLink(superlink, identity=identity).register()
    identity.close()
    again = SuperLink(superlink, identity=Identity(path))
    again.register()
    assert again.node_id == node_id
    assert superlink.online == {node_id}


def test_a_supernode_whose_node_id_is_known_does_not_go_offline_to_come_back(
    superlink: FakeSuperLink, path: Path
) -> None:
    """A ServerApp that asks meanwhile would take no reply of it any more."""
    identity = Identity(path)
    superlink.know(identity.key)
    SuperLink(superlink, identity=identity).register()
    identity.close()
    before = len(superlink.calls)
    SuperLink(superlink, identity=Identity(path)).register()
    assert set(methods(superlink)[before:]) == {superlink.schema.heartbeat}


def test_a_supernode_whose_node_id_was_not_kept_in_time_joins_with_a_new_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SuperLink of 1.20 to 1.22 does not take a key twice, and later ones not for a minute."""
    superlink = FakeSuperLink()
    killed = Identity(path, joins=True)
    with monkeypatch.context() as patch:
        patch.setattr(killed, "remember", lambda *_: killed.close())
        SuperLink(superlink, identity=killed).register()
    identity = Identity(path, joins=True)
    again = SuperLink(superlink, identity=identity)
    again.register()
    assert again.node_id in superlink.online
    assert identity.key.public_bytes != killed.key.public_bytes
    identity.close()
    assert Identity(path).key.public_bytes == identity.key.public_bytes


def test_a_supernode_that_the_superlink_does_not_know_is_told_so(
    superlink: FakeSuperLink, path: Path
) -> None:
    node = SuperLink(superlink, identity=Identity(path))
    with pytest.raises(FleetError) as caught:
        node.register()
    assert f"the key {path}" in caught.value.message
    assert "registered" in caught.value.hint
    assert node.node_id == 0


def test_a_superlink_out_of_reach_is_not_taken_for_one_that_refuses(
    superlink: FakeSuperLink, path: Path
) -> None:
    superlink.be_unreachable(1)
    with pytest.raises(Unreachable, match="did not answer"):
        SuperLink(superlink, identity=Identity(path)).register()


def test_without_an_identity_every_attempt_has_a_key_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    superlink = FakeSuperLink()
    used: list[NodeKey] = []
    monkeypatch.setattr(superlink, "use_key", used.append)
    node = SuperLink(superlink)
    node.register()
    node.register()
    assert len({key.public_bytes for key in used}) == 2
