import os
from openai import OpenAI

client = OpenAI(base_url="GATEWAY/v1", api_key=os.environ["TORCHMESH_KEY"])
stream = client.chat.completions.create(
    model="MODEL",
    messages=[{"role": "user", "content": "Why is the sky blue?"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
