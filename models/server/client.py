"""JSON requests to a server, several at a time: tried again where that may help, given up with what the server has said.

    client = Client("http://localhost:8000/v1", key="", limits=ClientLimits(num_concurrent=8, max_retries=8, timeout=600))
    client.get("/models")                                          # the JSON of one answer
    for number, answer in client.answers([Post("/completions", {"prompt": [5, 6]})]):     # as they come
        ...
    client.close()

Tried again are 408, 429, errors of the server (5xx) and of the connection, after 0.5, 1, 2, ... seconds or what `Retry-After`
asks, and each reason is told once.  All else is an error at once.  The requests run in a thread of their own, which never keeps
the process from ending.  The key is in the header `Authorization` and in nothing else: where a server repeats it, it is blotted
out.
"""

import asyncio
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import httpx2

from harness.api.errors import UserError
from harness.api.progress import tell

WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
FIRST_DELAY, LONGEST_DELAY = 0.5, 60.0
"Seconds before the second try, which double with each further one, and what they do not go beyond."
CONNECT_SECONDS = 30.0
MOST_LETTERS = 600
"Of what a server says in an error."
ADVICE = {
    401: "give the key in the environment variable {variable}",
    403: "give a key that may use this model in the environment variable {variable}",
    404: "check base_url (it ends in /v1 mostly) and the name of the model",
    429: "ask less at a time (--model_args num_concurrent=2), or more patiently (max_retries=12)",
}


class ClientLimits(NamedTuple):
    """How a server is treated."""

    num_concurrent: int
    "Requests that are on their way at the same time."
    max_retries: int
    "Times that a request is tried again."
    timeout: float
    "Seconds that an answer may take."


class Post(NamedTuple):
    """A request."""

    path: str
    body: Mapping[str, Any]


class Client:
    """A server that answers with JSON."""

    def __init__(self, base_url: str, *, key: str, limits: ClientLimits, variable: str = "") -> None:
        """`key` may be empty; `variable` is what the environment calls it, for advice."""
        self.base_url, self.limits = base_url.rstrip("/"), limits
        self._key, self._variable = key, variable
        self._told: set[str] = set()
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(limits.timeout, connect=min(CONNECT_SECONDS, limits.timeout)),
            limits=httpx2.Limits(max_connections=limits.num_concurrent),
        )
        self._loop = asyncio.new_event_loop()
        # A daemon: a run that is told to end waits for no answer.
        self._thread = threading.Thread(target=self._loop.run_forever, name="server requests", daemon=True)
        self._thread.start()

    def get(self, path: str) -> Any:
        """The JSON at a path, or at a whole address; raises UserError where there is none."""
        return asyncio.run_coroutine_threadsafe(self._answer("GET", path, None), self._loop).result()

    def answers(self, posts: Sequence[Post]) -> Iterator[tuple[int, Any]]:
        """(number of the request, JSON of its answer) as they come; raises UserError for the first that is given up."""
        found: queue.SimpleQueue[tuple[int, Any, Exception | None]] = queue.SimpleQueue()
        running = asyncio.run_coroutine_threadsafe(self._all(posts, found), self._loop)
        try:
            for _ in posts:
                number, answer, error = found.get()
                if error is not None:
                    raise error
                yield number, answer
        finally:
            running.cancel()

    def close(self) -> None:
        """Give up what is on its way, and all connections."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._http.aclose()

    async def _all(self, posts: Sequence[Post], found: "queue.SimpleQueue[tuple[int, Any, Exception | None]]") -> None:
        waiting = iter(enumerate(posts))

        async def work() -> None:
            for number, post in waiting:
                try:
                    found.put((number, await self._answer("POST", post.path, post.body), None))
                except Exception as error:  # told where the answers are read
                    found.put((number, None, error))
                    return

        await asyncio.gather(*(work() for _ in range(min(self.limits.num_concurrent, len(posts)))))

    async def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        """The JSON of an answer, after some tries."""
        where = path if "://" in path else self.base_url + path
        for tries in range(1, self.limits.max_retries + 2):
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (tries - 1))
            status = None
            try:
                response = await self._http.request(method, where, json=body)
                if response.is_success:
                    return self._json(response, where)
                status = response.status_code
                reason = f"{status} {response.reason_phrase}: {self._said(response)}"
                delay = _asked_delay(response) if _asked_delay(response) is not None else delay
            except httpx2.InvalidURL as error:
                raise UserError(
                    "not an address", where=where, found=str(error), todo="--model_args base_url=http://HOST:PORT/v1"
                ) from None
            except httpx2.RequestError as error:
                reason = self._blotted(f"{type(error).__name__}: {error}".removesuffix(": "))
            hopeless = status is not None and status not in WORTH_ANOTHER_TRY
            if hopeless or tries > self.limits.max_retries:
                break
            self._tell_once(reason, delay)
            await asyncio.sleep(delay)
        more = "" if tries == 1 else f" (tried {tries} times)"
        todo = ADVICE.get(status or 0, "" if status else "check that the server runs and base_url is right").format(
            variable=self._variable
        )
        message = "the server refuses a request" if hopeless else "the server does not answer"
        raise UserError(message + more, where=where, found=reason, todo=todo)

    def _json(self, response: httpx2.Response, where: str) -> Any:
        try:
            return response.json()
        except ValueError:
            expected, todo = "JSON", "check base_url: this may be no API"
            raise UserError(
                "the server's answer is no JSON", where=where, expected=expected, found=self._said(response), todo=todo
            ) from None

    def _said(self, response: httpx2.Response) -> str:
        """The message of an answer, or the beginning of its text."""
        try:
            content = response.json()
        except ValueError:
            content = response.text
        for key in ("error", "message", "detail"):
            if isinstance(content, Mapping) and content.get(key):
                content = content[key]
        text = " ".join(str(content).split())
        return self._blotted(text)[:MOST_LETTERS] or "nothing"

    def _blotted(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _tell_once(self, reason: str, delay: float) -> None:
        if reason not in self._told:
            self._told.add(reason)
            tell(f"server: {reason}; trying again in {delay:g} s, up to {self.limits.max_retries} times")


def _asked_delay(response: httpx2.Response) -> float | None:
    """Seconds that a server asks to wait, where it says so in seconds."""
    text = response.headers.get("Retry-After", "")
    return min(LONGEST_DELAY, float(text)) if text.isdecimal() else None
