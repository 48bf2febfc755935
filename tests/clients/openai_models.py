"""The openai package, as it is, with a token in the place of a key.

Environment: GATEWAY (IP:PORT), KEY (the token), MODEL (one that the token may use).
"""

import os

import openai


def main() -> None:
    client = openai.OpenAI(base_url=f"http://{os.environ['GATEWAY']}/v1", api_key=os.environ["KEY"], max_retries=0)
    assert os.environ["MODEL"] in [model.id for model in client.models.list()]
    assert client.models.retrieve(os.environ["MODEL"]).id == os.environ["MODEL"]
    print("openai is content")


if __name__ == "__main__":
    main()
