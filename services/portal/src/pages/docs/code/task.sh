curl -s GATEWAY/v1/tasks/MODEL \
  -H "Authorization: Bearer $TORCHMESH_KEY" \
  -H "Content-Type: application/json" \
  -d '{"inputs": ["You have won a prize, click here now!"]}'
