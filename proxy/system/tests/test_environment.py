"""Flower's processes have their user's environment, without what is the bridge's or vantage6's."""

from proxy.system.environment import for_flower, for_functions

USERS = {"PATH": "/bin", "https_proxy": "http://proxy", "CUDA_VISIBLE_DEVICES": "0"}
CONTRACT = {
    "INPUT_FILE": "/mnt/data/task-1/input",
    "OUTPUT_FILE": "/mnt/data/task-1/output",
    "TOKEN_FILE": "/mnt/data/task-1/token",
    "TEMPORARY_FOLDER": "/mnt/tmp",
    "HOST": "http://proxy",
    "PORT": "8080",
    "API_PATH": "",
    "DB_LABELS": "scans,other",
    "USER_REQUESTED_DATABASE_LABELS": "scans",
    "SCANS_DATABASE_URI": "/mnt/data/scans.csv",
    "SCANS_DATABASE_TYPE": "csv",
    "OTHER_DATABASE_URI": "postgresql://user:password@host/other",
    "OTHER_DATABASE_TYPE": "sql",
}


def test_a_users_own_variables_are_for_flower() -> None:
    assert for_flower(USERS) == USERS


def test_the_bridges_variables_are_not() -> None:
    ours = {"FLOWER_V6_PASSWORD": "secret", "FLOWER_V6_ALLOWED_APPS": "all"}
    assert for_flower({**USERS, **ours}) == USERS


def test_what_a_node_tells_its_container_is_not() -> None:
    assert for_flower({**USERS, **CONTRACT}) == USERS


def test_a_token_for_the_server_is_not_even_alone() -> None:
    assert for_flower({**USERS, "CONTAINER_TOKEN": "secret"}) == USERS


def test_outside_of_containers_the_names_are_the_users() -> None:
    users = {**USERS, "HOST": "laptop", "PORT": "80", "OTHER_DATABASE_URI": "mine"}
    assert for_flower(users) == users


def test_in_a_function_that_the_bridge_starts_host_and_port_are_the_users() -> None:
    started = {"INPUT_FILE": "input", "OUTPUT_FILE": "output", "HOST": "laptop", "PORT": "80"}
    assert for_flower({**USERS, **started}) == {**USERS, "HOST": "laptop", "PORT": "80"}


def test_parameters_of_databases_are_only_if_the_task_asked_for_the_database() -> None:
    parameters = {"SCANS_DB_PARAM_USER": "me", "OTHER_DB_PARAM_PASSWORD": "secret"}
    assert for_flower({**USERS, **CONTRACT, **parameters}) == {**USERS, "SCANS_DB_PARAM_USER": "me"}


def test_variables_of_the_owner_that_look_like_a_database_are() -> None:
    owners = {"APP_DATABASE_URI": "http://elsewhere"}
    assert for_flower({**USERS, **CONTRACT, **owners}) == {**USERS, **owners}


def test_functions_on_this_machine_get_no_secret() -> None:
    settings = {"FLOWER_V6_ALLOWED_MODES": "direct"}
    secrets = {"FLOWER_V6_PASSWORD": "secret", "CONTAINER_TOKEN": "secret", "TOKEN_FILE": "/token"}
    assert for_functions({**USERS, **settings, **secrets}) == {**USERS, **settings}
