"""The courier: follows the project's events and keeps the chat as they say. Run by the bot.

Each fact has one message: posted once, whatever breaks in between, and changed in place afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from jupyter_mlops.charts import Figure, png
from jupyter_mlops.errors import MLOpsError
from jupyter_mlops.project import Project
from jupyter_mlops.views.view import Image

from . import limits, news, texts
from .blocks import Message, pictures, render
from .blocks.words import clean
from .channels import Channels, NoChannel
from .delivery import Delivery, Outbox, backoff
from .refusal import asks_to_wait, is_final, retry_after, status_of, word_of, words_of

Call = Callable[..., Awaitable[Any]]

_LOG = logging.getLogger("slackbot")
EVENT_TYPE = "mlops_delivery"
_POLL_SECONDS = 0.3
_PACE_SECONDS = 1.0 / limits.POSTS_PER_SECOND
SETTLE_SECONDS = 15.0
_TIDY_SECONDS = 60.0
_CLOCKS_DIFFER = 60.0
_UNREACHABLE_SECONDS = 5.0
_PICTURE_TRIES = 3
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})


class _PictureFailed(Exception):
    """A picture could not be uploaded, this time."""


class Courier:
    """Carries one project's news into the chat.

    ``settle`` is how long a post without an answer may still appear; ``call`` runs a function in the bot's
    threads, because the store is never used from the event loop. ``bot_user`` is the bot's own user id, known
    once Slack was asked.
    """

    def __init__(
        self,
        project: Project,
        client: AsyncWebClient,
        call: Call,
        *,
        link_to: Callable[[str], str],
        settle: float = SETTLE_SECONDS,
        outbox: Outbox | None = None,
    ) -> None:
        self._project = project
        self._client = client
        self._call = call
        self.bot_user = ""
        self._link_to = link_to
        self._settle = timedelta(seconds=settle)
        self._outbox = outbox or Outbox(project.store)
        self._channels = Channels(client)
        self._meaning = news.meaning(project.config.slack)
        self._resting: dict[str, float] = {}
        self._failed_pictures: dict[str, int] = {}
        self._unreachable = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for news now: something has just happened."""
        self._wake.set()

    async def follow(self) -> None:
        """Turn events into rows of the outbox, for ever; needs no Slack."""
        last_tidied = 0.0
        while True:
            read = 0
            try:
                if time.monotonic() - last_tidied > _TIDY_SECONDS:
                    last_tidied = time.monotonic()
                    await self._call(self._project.approvals.settle)
                read = await self._call(self._outbox.follow, self._meaning)
            except Exception as error:
                # another process may hold the store for long, a server may be away: it will come back
                _LOG.warning("events cannot be read: %s", error, exc_info=not isinstance(error, MLOpsError))
            if not read:
                await self._pause(_POLL_SECONDS)

    async def send(self) -> None:
        """Send what the outbox holds, for ever."""
        last_recovered = 0.0
        while True:
            sent = False
            try:
                if time.monotonic() - last_recovered > 2.0:
                    last_recovered = time.monotonic()
                    await self._call(self._outbox.recover)
                sent = await self.send_one()
            except Exception as error:
                _LOG.warning(
                    "the outbox cannot be used: %s", error, exc_info=not isinstance(error, MLOpsError)
                )
            if not sent:
                await asyncio.sleep(_POLL_SECONDS * 2 ** min(self._unreachable, 3))

    async def send_one(self) -> bool:
        """Take the next row that is due as far as it goes; False if there is none."""
        now = time.monotonic()
        self._resting = {channel: until for channel, until in self._resting.items() if until > now}
        delivery = await self._call(self._outbox.claim, tuple(self._resting))
        if delivery is None:
            return False
        try:
            await self._carry(delivery)
        except SlackApiError as error:
            await self._refused(delivery, error)
        except _PictureFailed as error:
            why = f"the picture: {error}"
            await self._call(lambda: self._outbox.later(delivery, 1.0, why, counts=False))
        except NoChannel as error:
            await self._call(self._outbox.dead, delivery, str(error))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            await self._unreached(delivery)
            return False
        except (aiohttp.ClientError, TimeoutError, OSError, SlackRequestError) as error:
            await self._unanswered(delivery, f"no answer from Slack: {type(error).__name__}")
        except MLOpsError as error:
            await self._call(self._outbox.later, delivery, backoff(delivery.attempts), str(error))
        except Exception as error:
            # a fault of ours in showing this one must not keep the others from being told
            _LOG.exception("message about %s cannot be made", delivery.subject)
            await self._call(self._outbox.dead, delivery, f"cannot be shown: {type(error).__name__}: {error}")
        else:
            self._unreachable = 0
        return True

    async def _carry(self, delivery: Delivery) -> None:
        now_shown = await self._call(news.shown, self._project, delivery.subject)
        if await self._call(news.is_stale, self._project, delivery, now_shown):
            await self._call(self._outbox.cancel, delivery, "was over before it could be told")
            return
        channel_id = delivery.channel_id or await self._channels.find(delivery.channel)
        if delivery.doubtful and not await self._may_post(delivery, channel_id):
            return
        picture = await self._picture(delivery, pictures(now_shown.view))
        message = render(
            now_shown.view,
            link_to=self._link_to,
            files=[picture] if picture else [],
            stamp=now_shown.stamp,
        )
        if not await self._call(self._outbox.sending, delivery):
            _LOG.info("the lease of %s is lost; another bot has it", delivery.subject)
            return
        ts = await (
            self._post(delivery, channel_id, message)
            if delivery.ts is None
            else self._change(delivery, message)
        )
        self._resting[delivery.channel] = time.monotonic() + _PACE_SECONDS
        await self._call(self._outbox.sent, delivery, channel_id, ts, delivery.news)

    async def _post(self, delivery: Delivery, channel_id: str, message: Message) -> str:
        answer = await self._client.chat_postMessage(
            channel=channel_id,
            text=message.text,
            blocks=message.blocks,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"outbox_id": delivery.id}},
            unfurl_links=False,
            unfurl_media=False,
            parse="none",
        )
        return str(answer["ts"])

    async def _change(self, delivery: Delivery, message: Message) -> str:
        ts = delivery.ts or ""
        await self._client.chat_update(
            channel=delivery.channel_id or "", ts=ts, text=message.text, blocks=message.blocks, parse="none"
        )
        return ts

    async def _may_post(self, delivery: Delivery, channel_id: str) -> bool:
        """Look in the chat for a message that may have been posted; True if it may be posted now."""
        try:
            ts = await self._posted(delivery, channel_id)
        except SlackApiError as error:
            if not is_final(error):
                raise
            if not delivery.subject.startswith("alert:"):
                # two requests for one decision are worse than none: a person looks and decides
                why = f"it may be in {delivery.channel}, which the bot may not read: {word_of(error)}"
                await self._call(lambda: self._outbox.dead(delivery, why, sent_nothing=False))
                return False
            return bool(await self._call(self._outbox.absent, delivery))
        if ts:
            # what it shows is not known: if there were news since, it is changed in place
            await self._call(self._outbox.sent, delivery, channel_id, ts, delivery.event)
            return False
        waited = self._project.store.moment() - datetime.fromisoformat(delivery.sending_at or delivery.at)
        left = (self._settle - waited).total_seconds()
        if left > 0:
            await self._call(
                self._outbox.doubt, delivery, left, delivery.error or "waiting whether it appears"
            )
            return False
        return bool(await self._call(self._outbox.absent, delivery))

    async def _posted(self, delivery: Delivery, channel_id: str) -> str:
        """Return the timestamp of the message that carries this delivery's id, "" if the channel has none."""
        oldest = datetime.fromisoformat(delivery.first_at or delivery.at).timestamp() - _CLOCKS_DIFFER
        cursor = ""
        while True:
            page = await self._client.conversations_history(
                channel=channel_id,
                oldest=f"{oldest:.6f}",
                include_all_metadata=True,
                limit=200,
                cursor=cursor,
            )
            for found in page["messages"]:
                payload = (found.get("metadata") or {}).get("event_payload") or {}
                # anybody may write metadata; only a message of the bot's own counts
                if payload.get("outbox_id") == delivery.id and found.get("user") == self.bot_user:
                    return str(found["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return ""

    async def _picture(self, delivery: Delivery, drawn: list[Figure | Image]) -> str:
        """Return the file id of the message's picture; "" for none, also where the upload fails."""
        if not drawn or delivery.file == "":
            return ""
        if delivery.file is not None:
            return delivery.file
        try:
            upload = await self._call(_upload, drawn[0])
            answer = await self._client.files_upload_v2(**upload)
            file = str(answer["files"][0]["id"])
        except (
            SlackApiError,
            SlackRequestError,
            aiohttp.ClientError,
            TimeoutError,
            OSError,
            MLOpsError,
        ) as error:
            if isinstance(error, aiohttp.ClientConnectorError) or asks_to_wait(error):
                raise
            if self._picture_failed(delivery):
                _LOG.warning("the picture of %s could not be uploaded: %s", delivery.subject, error)
                return ""
            raise _PictureFailed(str(error)) from error
        await self._call(self._outbox.keep_file, delivery, file)
        return file

    async def _refused(self, delivery: Delivery, error: SlackApiError) -> None:
        word = word_of(error)
        self._unreachable = 0
        if asks_to_wait(error):
            seconds = retry_after(error)
            self._resting[delivery.channel] = time.monotonic() + seconds
            await self._call(
                lambda: self._outbox.later(delivery, seconds, "Slack asks to wait", counts=False)
            )
            await self._call(self._outbox.rest, delivery.channel, seconds)
        elif not is_final(error):
            await self._unanswered(delivery, f"Slack answered {word or status_of(error)}")
        elif word in _GONE and delivery.ts is not None:
            await self._call(self._outbox.start_over, delivery, f"the message cannot be changed: {word}")
        elif (
            word in ("invalid_blocks", "file_not_found", "file_deleted", "file_is_deleted") and delivery.file
        ):
            await self._picture_refused(delivery, word)
        else:
            words = words_of(error)
            _LOG.warning("Slack refuses the message about %s: %s %s", delivery.subject, word, words)
            if word == "channel_not_found":
                self._channels.forget()
            await self._call(self._outbox.dead, delivery, texts.refusal(word, delivery.channel, words))

    async def _picture_refused(self, delivery: Delivery, word: str) -> None:
        # a fresh upload takes Slack a moment to digest; a message without its picture is better than none
        if self._picture_failed(delivery):
            await self._call(self._outbox.keep_file, delivery, "")
        await self._call(lambda: self._outbox.later(delivery, 1.0, f"with picture: {word}", counts=False))

    def _picture_failed(self, delivery: Delivery) -> bool:
        """Count a failure; True when it is time to do without the picture."""
        self._failed_pictures[delivery.id] = self._failed_pictures.get(delivery.id, 0) + 1
        return self._failed_pictures[delivery.id] >= _PICTURE_TRIES

    async def _unanswered(self, delivery: Delivery, why: str) -> None:
        _LOG.warning("message about %s: %s; looking whether it arrived", delivery.subject, why)
        await self._call(self._outbox.doubt, delivery, min(backoff(delivery.attempts), 10.0), why)

    async def _unreached(self, delivery: Delivery) -> None:
        # no byte has left this machine: it waits as long as it must
        why = texts.UNREACHABLE.format(url=self._client.base_url)
        if not self._unreachable:
            _LOG.warning(why)
        self._unreachable += 1
        seconds = min(backoff(self._unreachable), _UNREACHABLE_SECONDS)
        await self._call(lambda: self._outbox.later(delivery, seconds, why, counts=False))

    async def _pause(self, seconds: float) -> None:
        # not wait_for: in Python 3.11 it loses a cancellation that comes together with the event
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()


def _upload(picture: Figure | Image) -> dict[str, Any]:
    """Return what Slack is given of a picture: a figure is drawn, an image is sent as it came."""
    if isinstance(picture, Figure):
        content, kind, title = png(picture), "png", picture.title
    else:
        content, kind, title = picture.data, picture.media.rpartition("/")[2], picture.alt
    return {
        "content": content,
        "filename": f"picture.{kind}",
        "title": clean(title)[:200] or "picture",
        "alt_txt": clean(picture.alt)[:1000],
    }
