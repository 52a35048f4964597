"""Slack's limits: the one place for its numbers, read by the bot's renderer and enforced by the simulator.

Where Slack's own sources disagree, the smaller number stands here: what keeps to it is accepted by all.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

Surface = Literal["message", "modal", "home"]

# clocks, in seconds
ACK_SECONDS: Final = 3.0
TRIGGER_SECONDS: Final = 3.0
RESPONSE_URL_SECONDS: Final = 30 * 60.0
RESPONSE_URL_USES: Final = 5
EVENT_RETRY_SECONDS: Final = (0.0, 60.0, 300.0)
SOCKET_CONNECTIONS: Final = 10
TICKET_SECONDS: Final = 30.0

# rates: a method's tier is its calls a minute; "special" methods have their own rule or a generous one
CALLS_PER_MINUTE: Final = MappingProxyType({"t1": 1, "t2": 20, "t3": 50, "t4": 100, "special": 600})
POSTS_PER_SECOND: Final = 1.0  # per channel
POST_BURST: Final = 5  # posts to one channel that may come at once before the rate counts

# messages
MESSAGE_BLOCKS: Final = 50
MESSAGE_BLOCKS_CHARACTERS: Final = 12_000  # Slack refuses somewhere above 13,100; it documents no number
MESSAGE_TEXT: Final = 40_000  # longer text is cut
UPDATE_TEXT: Final = 4_000
FALLBACK_TEXT: Final = 3_000  # what we allow ourselves: every method takes it
ATTACHMENTS: Final = 100
METADATA_CHARACTERS: Final = 8_000
MARKDOWN_TEXT: Final = 12_000  # over all markdown blocks of a message
TABLES_PER_MESSAGE: Final = 1
CHARTS_PER_MESSAGE: Final = 2
HISTORY_DEFAULT: Final = 100
HISTORY_MOST: Final = 999
REPLIES_MOST: Final = 1_000
LIST_MOST: Final = 1_000
UPLOAD_BYTES: Final = 64 * 1024 * 1024  # Slack takes more; nobody sends that to a chat
FILES_PER_SHARE: Final = 10

# blocks
TEXT: Final = 3_000  # any text object that has no limit of its own
SECTION_FIELDS: Final = 10
SECTION_FIELD_TEXT: Final = 2_000
HEADER_TEXT: Final = 150
CONTEXT_ELEMENTS: Final = 10
ACTIONS_ELEMENTS: Final = 25
IMAGE_URL: Final = 3_000
IMAGE_ALT_TEXT: Final = 2_000
IMAGE_TITLE: Final = 2_000
INPUT_LABEL: Final = 2_000
INPUT_HINT: Final = 2_000
ALERT_TEXT: Final = 200
CONTAINER_BLOCKS: Final = 10
CONTAINER_TITLE: Final = 150
CONTAINER_SUBTITLE: Final = 150
TABLE_ROWS: Final = 100
TABLE_COLUMNS: Final = 20
TABLE_CHARACTERS: Final = 10_000
DATA_TABLE_ROWS_LEAST: Final = 2  # the header and one more
DATA_TABLE_ROWS: Final = 101
DATA_TABLE_COLUMNS: Final = 20
DATA_TABLE_PAGE_SIZE: Final = 100
DATA_TABLE_CHARACTERS: Final = 20_000
CHART_TITLE: Final = 50
CHART_SERIES: Final = 6
CHART_SEGMENTS: Final = 6
CHART_POINTS: Final = 20
CHART_LABEL: Final = 20  # series names, segment, point and category labels
CHART_AXIS_LABEL: Final = 50

# elements
ACTION_ID: Final = 255
BLOCK_ID: Final = 255
BUTTON_TEXT: Final = 75
BUTTON_VALUE: Final = 2_000
BUTTON_URL: Final = 3_000
ACCESSIBILITY_LABEL: Final = 75
CONFIRM_TITLE: Final = 100
CONFIRM_TEXT: Final = 300
CONFIRM_BUTTON: Final = 30
OPTION_TEXT: Final = 75
OPTION_VALUE: Final = 150
OPTION_DESCRIPTION: Final = 75
OPTION_URL: Final = 3_000
OPTION_GROUP_LABEL: Final = 75
SELECT_OPTIONS: Final = 100
SELECT_GROUPS: Final = 100
OVERFLOW_OPTIONS: Final = 5
CHOICES: Final = 10  # radio buttons and checkboxes
PLACEHOLDER: Final = 150
INPUT_LENGTH: Final = 3_000

# views
VIEW_BLOCKS: Final = 100
VIEW_TITLE: Final = 24
VIEW_SUBMIT: Final = 24
VIEW_CLOSE: Final = 24
VIEW_CALLBACK_ID: Final = 255
VIEW_EXTERNAL_ID: Final = 255
VIEW_PRIVATE_METADATA: Final = 3_000
VIEW_BYTES: Final = 250_000
VIEW_STACK: Final = 3

VALIDATE_CHARACTERS: Final = 100_000  # what blocks.validate takes


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


BLOCK_TYPES: Final = MappingProxyType[Surface, frozenset[str]](
    {
        "message": _types(
            "actions card carousel container context context_actions data_table data_visualization divider "
            "file header image input markdown plan rich_text section table task_card video"
        ),
        "modal": _types("actions alert card context divider header image input rich_text section video"),
        "home": _types(
            "actions card carousel container context data_table data_visualization divider header image "
            "input rich_text section table video"
        ),
    }
)
"""The block types that Slack takes on each surface."""
