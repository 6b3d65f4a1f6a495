"""A station that stays: a service that answers what comes on its lane."""
