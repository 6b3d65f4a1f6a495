"""What a station says of a message that it has no answer to."""

UNDER_WAY = {"message": "under way"}
UNHEARD = {"message": "unheard of"}
