"""Names on the hub.

is_hub_id("FacebookAI/xlm-roberta-base")      # True
"""

import re

HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


def is_hub_id(text: str) -> bool:
    """Whether a text can be the name of a repository, `org/name`."""
    return bool(HUB_ID.fullmatch(text)) and text[0] not in ".-" and ".." not in text and "--" not in text
