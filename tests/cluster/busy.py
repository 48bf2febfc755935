"""Keeps as many calls under way as the files CALLS and STREAMS in /tmp say, and tells of each that is over: `busy.py GATEWAY` (in a pod of the cluster).

A number that becomes smaller breaks nothing off: those callers make no further call.
"""

import http.client
import json
import os
import sys
import threading
import time

HEADERS = {"Authorization": f"Bearer {os.environ['KEY']}", "Content-Type": "application/json", "x-request-timeout": "600"}
EMBED = json.dumps({"model": "minilm", "input": ["A man is eating food, and his friend looks on. " * 12] * 16})
CHAT = json.dumps({"model": "smollm2", "stream": True, "max_tokens": 128, "messages": [{"role": "user", "content": "Tell me a long story about a fox and a bear."}]})
MOST = 24


def wanted(kind):
    """How many callers of a kind there shall be."""
    try:
        with open(f"/tmp/{kind}", encoding="utf-8") as file:
            return int(file.read() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def call(address, kind):
    """One call; answers what is wrong with it, or nothing."""
    connection = http.client.HTTPConnection(address, timeout=610)
    path, body = ("/v1/embeddings", EMBED) if kind == "CALLS" else ("/v1/chat/completions", CHAT)
    try:
        connection.request("POST", path, body, HEADERS)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    if answer.status != 200:
        return f"{answer.status} {text[:250]}"
    whole = len(json.loads(text)["data"]) == 16 if kind == "CALLS" else '"finish_reason":"' in text and "data: [DONE]" in text
    return None if whole else f"it is not whole: …{text[-200:]}"


def caller(address, kind, number):
    """Calls while it is wanted."""
    while True:
        if number >= wanted(kind):
            time.sleep(0.2)
            continue
        began = time.monotonic()
        error = call(address, kind)
        print(json.dumps({"kind": kind, "seconds": round(time.monotonic() - began, 1), "error": error}), flush=True)
        if error:
            time.sleep(1)


def main(address):
    """Starts the callers."""
    threads = [threading.Thread(target=caller, args=(address, kind, number)) for kind in ("CALLS", "STREAMS") for number in range(MOST)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(sys.argv[1])
