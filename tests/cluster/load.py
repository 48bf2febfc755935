"""Calls the gateway without a pause and says each second how it went: `load.py GATEWAY SECONDS` (in a pod of the cluster).

A call has two seconds, all tries together. Only a connection that is refused or breaks is tried again, on a new one, as every pool of connections does it;
whatever the mesh answers counts as it is.
"""

import http.client
import json
import os
import sys
import threading
import time

DEADLINE = 2.0
CALLERS = 4
# Calls a second of each caller.
PACE = 5
KEY = os.environ["KEY"]
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "x-request-timeout": str(DEADLINE)}
EMBED = json.dumps({"model": "minilm", "input": "A man is eating food."})
CHAT = json.dumps({"model": "smollm2", "stream": True, "max_tokens": 16, "temperature": 0, "messages": [{"role": "user", "content": "Say hello."}]})


class Tally:
    """What happened in the current second."""

    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        """Begins anew."""
        self.counts = {"ok": 0, "failed": 0, "retried": 0, "streams": 0, "broken_streams": 0}
        self.worst = 0.0
        self.errors = []

    def add(self, what, seconds=0.0, error=None):
        """One more."""
        with self.lock:
            self.counts[what] += 1
            self.worst = max(self.worst, seconds)
            if error:
                self.errors.append(error[:300])

    def line(self):
        """The second that is over, as JSON."""
        with self.lock:
            line = json.dumps({"at": time.time(), **self.counts, "worst_ms": round(self.worst * 1000), "errors": self.errors})
            self.clear()
        return line


def call(connection, tally, address):
    """One call; answers the connection for the next."""
    began = time.monotonic()
    while True:
        left = DEADLINE - (time.monotonic() - began)
        try:
            if left <= 0:
                raise TimeoutError("the deadline is over")
            if connection is None:
                connection = http.client.HTTPConnection(address, timeout=left)
                connection.connect()
            connection.sock.settimeout(left)
            connection.request("POST", "/v1/embeddings", EMBED, HEADERS)
            answer = connection.getresponse()
            body = answer.read()
        except TimeoutError as error:
            tally.add("failed", time.monotonic() - began, f"{type(error).__name__}: {error}")
            return close(connection)
        except (OSError, http.client.HTTPException):
            tally.add("retried")
            connection = close(connection)
            time.sleep(0.02)
            continue
        took = time.monotonic() - began
        if took > DEADLINE:
            tally.add("failed", took, f"answered {answer.status} after {took * 1000:.0f} ms")
        elif answer.status == 200 and len(json.loads(body)["data"][0]["embedding"]) == 384:
            tally.add("ok", took)
        else:
            tally.add("failed", took, f"{answer.status} {body[:250]!r}")
        return close(connection) if answer.will_close else connection


def close(connection):
    """Closes it."""
    if connection is not None:
        connection.close()
    return None


def caller(tally, address, until):
    """Calls at its pace."""
    connection = None
    due = time.monotonic()
    while time.monotonic() < until:
        connection = call(connection, tally, address)
        due = max(due + 1 / PACE, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


def streamer(tally, address, until):
    """Has a language model write, answer after answer."""
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection(address, timeout=30)
            connection.request("POST", "/v1/chat/completions", CHAT, {**HEADERS, "x-request-timeout": "30"})
            answer = connection.getresponse()
            body = answer.read().decode()
            whole = answer.status == 200 and "data: [DONE]" in body
            tally.add("streams" if whole else "broken_streams", error=None if whole else f"stream: {answer.status} …{body[-200:]!r}")
        except (OSError, http.client.HTTPException) as error:
            tally.add("broken_streams", error=f"stream: {type(error).__name__}: {error}")
        connection.close()
        time.sleep(1)


def main(address, seconds):
    """Calls for so long."""
    tally, until = Tally(), time.monotonic() + seconds
    threads = [threading.Thread(target=caller, args=(tally, address, until), daemon=True) for _ in range(CALLERS)]
    threads.append(threading.Thread(target=streamer, args=(tally, address, until), daemon=True))
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        time.sleep(1)
        print(tally.line(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
