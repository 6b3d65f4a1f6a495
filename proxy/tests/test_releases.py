"""Which Flower releases the bridge speaks to, and how."""

import pytest

from proxy.errors import FlowerError
from proxy.fleet.releases import ERAS, NEWEST, Era, era_of


@pytest.mark.parametrize(
    "release", ["1.40.0", "1.40", "1.41.0", "1.42.0", "1.43.0.dev20270101", "1.100.2", "2.0.0"]
)
def test_a_release_from_1_40_on_speaks_the_newest_era(release: str) -> None:
    assert era_of(release) is NEWEST


@pytest.mark.parametrize("release", ["1.39.0", "1.8.0", "0.19", "1", "", "unknown", "v1.41.0"])
def test_an_older_release_is_refused_naming_it_and_the_oldest_supported(release: str) -> None:
    with pytest.raises(FlowerError) as caught:
        era_of(release)
    assert f"Flower {release} is not supported" in caught.value.message
    assert "1.40" in caught.value.message
    assert "flwr>=1.40" in caught.value.hint


def test_eras_follow_one_another() -> None:
    assert [era.first for era in ERAS] == sorted(era.first for era in ERAS)


def test_methods_are_served_where_flower_serves_them() -> None:
    assert dict(NEWEST.paths) == {
        "RegisterNode": "/v1/fleet/register-node",
        "ActivateNode": "/v1/fleet/activate-node",
        "DeactivateNode": "/v1/fleet/deactivate-node",
        "UnregisterNode": "/v1/fleet/unregister-node",
        "SendNodeHeartbeat": "/v1/fleet/send-node-heartbeat",
        "PullMessages": "/v1/fleet/pull-messages",
        "PushMessages": "/v1/fleet/push-messages",
        "PullObject": "/v1/fleet/pull-object",
        "PushObject": "/v1/fleet/push-object",
        "ConfirmMessageReceived": "/v1/fleet/confirm-message-received",
        "GetRun": "/v1/fleet/get-run",
        "GetFab": "/v1/fleet/get-fab",
    }


@pytest.mark.parametrize("era", ERAS, ids=lambda era: f"from {era.first}")
def test_commands_say_where_each_value_goes(era: Era) -> None:
    assert {"{host}", "{port}"} <= set(era.superlink)
    assert {"{superlink}", "{host}", "{port}", "{node_config}"} <= set(era.supernode)
