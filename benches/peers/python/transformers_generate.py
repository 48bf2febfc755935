#!/usr/bin/env python3
"""Has transformers' `generate` write batches, the likeliest token each time: POST {"prompts": [[token, ...], ...], "new": 64}.

The answer is {"texts": [...], "steps": [...]}: when each token of the batch was there, in seconds from the arrival of the request. Prompts of several
lengths are filled up on the left.
"""

from __future__ import annotations

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import torch
import transformers


class Steps(transformers.StoppingCriteria):
    """Notes when each token is there; stops nothing."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.over: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """A step is over."""
        self.over.append(time.perf_counter() - self.began)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


class Writer:
    """The model, in a folder as Hugging Face publishes them."""

    def __init__(self, folder: str, dtype: str, threads: int) -> None:
        torch.set_num_threads(threads)
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
        self._model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind).eval()
        # No token ends an answer: all are as long as was asked for. (With a least length instead, `generate` would choose other tokens than the likeliest.)
        self._model.generation_config.eos_token_id = None
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def write(self, prompts: list[list[int]], new: int) -> dict:
        """As many tokens behind each prompt, whether or not the model would end before."""
        steps = Steps()
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        plain = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": new}
        written = self._model.generate(ids, attention_mask=mask, stopping_criteria=[steps], **plain)
        return {"texts": self._tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True), "steps": steps.over}


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the model")
    parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    writer = Writer(options.folder, options.dtype, options.threads)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body = json.dumps(writer.write(asked["prompts"], asked["new"])).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing: the log is for what goes wrong."""

    HTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
