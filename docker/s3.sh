#!/bin/sh
# What the compose service s3 runs: SeaweedFS with one identity, from the environment, and one bucket, made on start.
# /tmp/ready appears when the bucket is there; the health check looks for it.
set -eu

for key in "${S3_ACCESS_KEY:-}" "${S3_SECRET_KEY:-}"; do
  case "$key" in
    '' | *[!A-Za-z0-9/+=_-]*)
      echo "The object store needs keys: set S3_ACCESS_KEY and S3_SECRET_KEY, of letters, digits and / + = _ -" >&2
      exit 2
      ;;
  esac
done

umask 077
cat > /tmp/identities.json <<JSON
{"identities": [{"name": "winnow", "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}],
 "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON

rm -f /tmp/ready
weed server -dir=/data -ip.bind=0.0.0.0 -master.volumeSizeLimitMB=1024 -volume.max=0 \
  -s3 -s3.port=8333 -s3.config=/tmp/identities.json &
server=$!
trap 'kill "$server"; wait "$server"; exit 0' TERM INT

bucket="${S3_BUCKET:-corpus}"
while kill -0 "$server" 2> /dev/null; do
  if echo "s3.bucket.list" | weed shell 2> /dev/null | grep -qw "$bucket"; then
    touch /tmp/ready
    break
  fi
  echo "s3.bucket.create -name $bucket" | weed shell > /dev/null 2>&1 || true
  sleep 1
done
wait "$server"
