"""Stateful: a station remembers between messages, in ``context.state``."""
