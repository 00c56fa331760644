#!/bin/sh
# Asks a running service with curl. Usage: examples/detect.sh [URL] [PICTURE]
set -eu
url=${1:-http://127.0.0.1:8000}
picture=${2:-docs/dog.jpg}
# With API keys: curl -H "Authorization: Bearer $KEY" ...

echo "What is on it?"
curl -sS --fail-with-body -F "image=@$picture" "$url/detect"
echo

echo "Only what is sure: objectness of at least 0.6, and names with a probability of at least 0.9."
curl -sS --fail-with-body -F "image=@$picture" "$url/detect?threshold=0.6&hierarchy_threshold=0.9"
echo

echo "Only animals (n00015388)."
curl -sS --fail-with-body -F "image=@$picture" "$url/detect?under=n00015388"
echo

echo "The same picture as a raw body; the answer is the annotated picture."
curl -sS --fail-with-body -H "Content-Type: image/jpeg" -H "Accept: image/jpeg" --data-binary "@$picture" \
  -o annotated.jpg "$url/detect"
ls -l annotated.jpg

echo "Which concepts are called retriever?"
curl -sS --fail-with-body "$url/classes?query=retriever&limit=3"
echo
