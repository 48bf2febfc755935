import os
import requests

answer = requests.post(
    "GATEWAY/v1/tasks/MODEL",
    headers={"Authorization": f"Bearer {os.environ['TORCHMESH_KEY']}"},
    json={"inputs": ["You have won a prize, click here now!"]},
)
answer.raise_for_status()
print(answer.json()["outputs"][0])
