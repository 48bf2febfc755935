curl -s GATEWAY/v1/embeddings \
  -H "Authorization: Bearer $TORCHMESH_KEY" \
  -H "Content-Type: application/json" \
  -d '{"model": "MODEL", "input": "A man is eating food."}'
