curl GATEWAY/v1/chat/completions \
  -H "Authorization: Bearer $TORCHMESH_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "MODEL",
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "stream": true
  }'
