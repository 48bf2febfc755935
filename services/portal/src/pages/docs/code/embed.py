import os
from openai import OpenAI

client = OpenAI(base_url="GATEWAY/v1", api_key=os.environ["TORCHMESH_KEY"])
answer = client.embeddings.create(model="MODEL", input="A man is eating food.")
print(answer.data[0].embedding[:5])
