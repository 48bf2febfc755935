"""The openai package, as it is, against a gateway whose worker says what tests/tests/behaviours/scripted/clients.rs has scripted.

Environment: GATEWAY (IP:PORT), KEY.
"""

import asyncio
import os

import openai
from pydantic import BaseModel

BASE = f"http://{os.environ['GATEWAY']}/v1"
KEY = os.environ["KEY"]
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
        "strict": True,
    },
}


class City(BaseModel):
    name: str
    people: int


def whole(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="writer", messages=HELLO, temperature=0, seed=7, logprobs=True, top_logprobs=1)
    choice = answer.choices[0]
    assert choice.message.content == "Grüße, Welt 🌍" and choice.message.role == "assistant", choice
    assert choice.finish_reason == "stop" and choice.message.tool_calls is None, choice
    assert choice.logprobs.content[0].token == "Grü" and choice.logprobs.content[0].top_logprobs[0].logprob == -0.5, choice.logprobs
    assert bytes(choice.logprobs.content[0].bytes).decode() == "Grü"
    assert answer.usage.prompt_tokens_details.cached_tokens == 3 and answer.usage.total_tokens == 12, answer.usage
    assert answer.object == "chat.completion" and answer.model == "writer"
    two = client.chat.completions.create(model="writer", messages=[{"role": "user", "content": "two"}], n=2)
    assert [choice.message.content for choice in two.choices] == ["first", "second"], two


def streamed(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="writer", messages=HELLO, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Grüße, Welt 🌍"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 5, chunks[-1]
    assert all(chunk.usage is None for chunk in chunks[:-1]) and chunks[-2].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1

    # The package puts the pieces together itself, and checks each against its types.
    with client.chat.completions.stream(model="writer", messages=HELLO) as events:
        kinds = [event.type for event in events]
        final = events.get_final_completion()
    assert "content.delta" in kinds and final.choices[0].message.content == "Grüße, Welt 🌍", kinds


def tools(client: openai.OpenAI) -> None:
    question = [{"role": "user", "content": "weather"}]
    answer = client.chat.completions.create(model="writer", messages=question, tools=[TOOL], tool_choice="required")
    call = answer.choices[0].message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("c1", "weather", '{"city":"Ulm"}'), call
    assert answer.choices[0].finish_reason == "tool_calls" and answer.choices[0].message.content is None
    # The package's own message goes back as it is.
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    again = client.chat.completions.create(model="writer", messages=[*question, answer.choices[0].message, result], tools=[TOOL])
    assert again.choices[0].message.content == "after rain", again

    with client.chat.completions.stream(model="writer", messages=question, tools=[TOOL]) as events:
        done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert done[0].name == "weather" and done[0].parsed_arguments == {"city": "Ulm"}, done


def formats(client: openai.OpenAI) -> None:
    question = [{"role": "user", "content": "city"}]
    parsed = client.chat.completions.parse(model="writer", messages=question, response_format=City).choices[0].message.parsed
    assert parsed == City(name="Ulm", people=126000), parsed
    with client.chat.completions.stream(model="writer", messages=question, response_format=City) as events:
        assert events.get_final_completion().choices[0].message.parsed == parsed
    extra = client.chat.completions.create(model="writer", messages=HELLO, extra_body={"top_k": 5, "guided_choice": ["a"], "min_p": 0.1})
    assert extra.choices[0].finish_reason == "stop"


def completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="writer", prompt=["a", "b"], logprobs=1, max_tokens=3)
    assert [choice.text for choice in answer.choices] == ["a goes on", "b goes on"] and answer.object == "text_completion"
    assert answer.choices[0].logprobs.token_logprobs == [-0.5] and answer.choices[0].finish_reason == "length"
    stream = client.completions.create(model="writer", prompt="a", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "a goes on"


def responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="writer", input="hello", instructions="Be kind.", temperature=0, metadata={"a": "b"})
    assert answer.output_text == "Grüße, Welt 🌍" and answer.status == "completed" and answer.error is None, answer
    assert answer.usage.input_tokens_details.cached_tokens == 3 and answer.usage.total_tokens == 12, answer.usage
    assert (answer.instructions, answer.metadata, answer.model) == ("Be kind.", {"a": "b"}, "writer"), answer
    # The package's own items go back as they are.
    flat = {"type": "function", "strict": True, **TOOL["function"]}
    question = [{"role": "user", "content": "weather"}]
    asks = client.responses.create(model="writer", input=question, tools=[flat], tool_choice="required")
    call = asks.output[0]
    assert (call.type, call.call_id, call.name, call.arguments) == ("function_call", "c1", "weather", '{"city":"Ulm"}'), asks
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    again = client.responses.create(model="writer", input=[*question, *asks.output, result], tools=[flat])
    assert again.output_text == "after rain", again
    parsed = client.responses.parse(model="writer", input="city", text_format=City)
    assert parsed.output_parsed == City(name="Ulm", people=126000), parsed

    # The package puts the events together itself, and checks each against its types.
    with client.responses.stream(model="writer", input="hello") as events:
        told = list(events)
        final = events.get_final_response()
    kinds = [event.type for event in told]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"], kinds
    assert kinds[-4:] == ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"], kinds
    assert [event.sequence_number for event in told] == list(range(len(told)))
    assert final.output_text == "Grüße, Welt 🌍" and final.usage.output_tokens == 5, final
    with client.responses.stream(model="writer", input="weather", tools=[flat]) as events:
        assert events.get_final_response().output[0].arguments == '{"city":"Ulm"}'
    broken = list(client.responses.create(model="writer", input="breaks", stream=True))
    assert broken[-1].type == "response.failed" and broken[-1].response.error.message == "the model broke", broken[-1]
    try:
        client.responses.create(model="writer", input="hello", previous_response_id="resp_1")
        raise AssertionError("a response that is not stored was found")
    except openai.BadRequestError as error:
        assert error.param == "previous_response_id", error


def errors(client: openai.OpenAI) -> None:
    def refused(kind: type, **more) -> openai.APIStatusError:
        try:
            client.chat.completions.create(**{"model": "writer", "messages": HELLO, **more})
        except kind as error:
            return error
        raise AssertionError(f"{more} was taken")

    assert refused(openai.BadRequestError, temperature=3).param == "temperature"
    picture = [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]
    assert refused(openai.BadRequestError, messages=[{"role": "user", "content": picture}]).param == "messages[0].content[0]"
    assert refused(openai.NotFoundError, model="nope").code == "not_found"
    assert refused(openai.RateLimitError, messages=[{"role": "user", "content": "full"}], stream=True).type == "rate_limit_error"
    seen = ""
    try:
        for chunk in client.chat.completions.create(model="writer", messages=[{"role": "user", "content": "breaks"}], stream=True):
            seen += chunk.choices[0].delta.content or ""
        raise AssertionError("the end of a broken stream was not told")
    except openai.APIError as error:
        assert seen == "half" and error.message == "the model broke", (seen, error)


async def at_once() -> None:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as client:

        async def one() -> str:
            stream = await client.chat.completions.create(model="writer", messages=HELLO, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        assert set(await asyncio.gather(*(one() for _ in range(20)))) == {"Grüße, Welt 🌍"}


def main() -> None:
    client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
    assert [model.id for model in client.models.list()] == ["writer"]
    for check in (whole, streamed, tools, formats, responses, completions, errors):
        check(client)
    asyncio.run(at_once())
    print("openai is content")


if __name__ == "__main__":
    main()
