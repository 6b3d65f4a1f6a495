"""A real vantage6 5.0.3 on this machine: HQ on PostgreSQL, nodes, algorithm containers.

`fixtures` is what tests ask for, `stack` is what they get. HQ and nodes are vantage6's own, in
containers of an image that `image.sh` makes (`make .venv-vantage6-5/installed`). What stands in for
the rest is here and says what it does not do: `keycloak` for Keycloak, `kubernetes` and `cluster`
for Kubernetes, whose pods are containers of Docker. Both run in the process of the tests.

    python -m integration_tests.vantage6_5 up FOLDER

starts all of it for use by hand, and writes FOLDER/stack.json.
"""
