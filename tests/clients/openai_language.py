"""The openai package, as it is, against a gateway whose worker serves stories15M as `stories` and SmolLM2 as `smollm2`, with a template for tools.

Environment: GATEWAY (IP:PORT), KEY.
"""

import asyncio
import json
import os
from typing import Literal

import openai
from pydantic import BaseModel, Field

BASE = f"http://{os.environ['GATEWAY']}/v1"
KEY = os.environ["KEY"]
# Long enough that its beginning is worth keeping.
FRANCE = [
    {"role": "system", "content": "You are a helpful assistant, and answer every question in one short and friendly sentence."},
    {"role": "user", "content": "What is the capital of France?"},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Person(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=120)
    mood: Literal["glad", "sad"]


def a_chat_is_the_same_whole_and_streamed(client: openai.OpenAI) -> None:
    asked = {"model": "smollm2", "messages": FRANCE, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    choice = whole.choices[0]
    assert "Paris" in choice.message.content and choice.finish_reason in ("stop", "length"), choice
    assert whole.usage.completion_tokens == len(choice.logprobs.content) and whole.usage.total_tokens > whole.usage.completion_tokens
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in choice.logprobs.content)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == choice.message.content, (text, choice)
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens), usage
    assert usage.prompt_tokens_details.cached_tokens > 0, "the prompt was read before"


def an_answer_of_a_form_is_parsed(client: openai.OpenAI) -> None:
    question = [{"role": "user", "content": "Ann is 30 and glad. Answer in JSON."}]
    asked = {"model": "smollm2", "messages": question, "response_format": Person, "seed": 4, "max_tokens": 200}
    parsed = client.chat.completions.parse(**asked).choices[0].message.parsed
    assert isinstance(parsed, Person), parsed
    with client.chat.completions.stream(**asked) as events:
        assert events.get_final_completion().choices[0].message.parsed == parsed
    loose = client.chat.completions.create(model="smollm2", messages=question, response_format={"type": "json_object"}, seed=1, max_tokens=120)
    if loose.choices[0].finish_reason == "stop":
        json.loads(loose.choices[0].message.content)


def a_tool_is_called(client: openai.OpenAI) -> None:
    question = [{"role": "user", "content": "What is the weather in Ulm?"}]
    asked = {"model": "smollm2", "messages": question, "tools": [TOOL], "tool_choice": "required", "seed": 2, "max_tokens": 160}
    asked["parallel_tool_calls"] = False
    answer = client.chat.completions.create(**asked).choices[0]
    (call,) = answer.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "weather" and set(arguments) == {"city", "unit"}, call
    assert answer.finish_reason == "tool_calls", answer
    with client.chat.completions.stream(**asked) as events:
        (streamed,) = events.get_final_completion().choices[0].message.tool_calls
    assert streamed.function.parsed_arguments == arguments and streamed.id == call.id, (streamed, call)
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    again = client.chat.completions.create(model="smollm2", messages=[*question, answer.message, result], tools=[TOOL], tool_choice="none", max_tokens=8)
    assert again.choices[0].message.content and again.choices[0].message.tool_calls is None, again


def stories_go_on(client: openai.OpenAI) -> None:
    asked = {"model": "stories", "prompt": ["Once upon a time", "The big dog"], "temperature": 0, "max_tokens": 20}
    whole = client.completions.create(**asked, logprobs=2, echo=True)
    first, second = whole.choices
    assert first.text.startswith("Once upon a time, there was a little girl") and second.text.startswith("The big dog"), whole
    assert first.logprobs.token_logprobs[0] is None and len(first.logprobs.tokens) == 25, first.logprobs
    assert first.finish_reason == "length" and whole.usage.completion_tokens == 40, whole.usage
    texts = {0: "Once upon a time", 1: "The big dog"}
    for chunk in client.completions.create(**asked, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == {0: first.text, 1: second.text}, texts
    several = client.completions.create(model="stories", prompt="Tom", n=2, best_of=4, seed=3, max_tokens=8, stop=["."])
    assert len(several.choices) == 2, several


def mistakes_name_their_field(client: openai.OpenAI) -> None:
    for kind, param, more in [
        (openai.BadRequestError, "messages", {"messages": [{"role": "user", "content": "word " * 9000}]}),
        (openai.BadRequestError, "tool_choice", {"tool_choice": {"type": "function", "function": {"name": "nothing"}}, "tools": [TOOL]}),
        (openai.InternalServerError, None, {"model": "stories"}),
    ]:
        try:
            client.chat.completions.create(**{"model": "smollm2", "messages": FRANCE, "max_tokens": 4, **more})
            raise AssertionError(f"{more} was taken")
        except kind as error:
            assert error.param == param, (param, error)


async def at_once() -> None:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as client:

        async def one(seed: int) -> str:
            stream = await client.completions.create(model="stories", prompt="Lily", seed=seed, max_tokens=24, stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])

        texts = await asyncio.gather(*(one(number % 4) for number in range(16)))
        assert texts[:4] * 4 == texts and len(set(texts)) == 4, texts


def main() -> None:
    client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
    assert sorted(model.id for model in client.models.list()) == ["smollm2", "stories"]
    checks = (a_chat_is_the_same_whole_and_streamed, an_answer_of_a_form_is_parsed, a_tool_is_called, stories_go_on, mistakes_name_their_field)
    for check in checks:
        check(client)
    asyncio.run(at_once())
    print("openai is content")


if __name__ == "__main__":
    main()
