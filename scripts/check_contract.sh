# Lint the contract, check its format, and hold it against the baseline of the last release. Needs .venv/bin on PATH.
set -eu
image=$(mktemp --suffix=.binpb)
trap 'rm -f "$image"' EXIT
python scripts/generate.py --image "$image"
buf lint "$image"
buf breaking "$image" --against proto/baseline.binpb
buf format proto --path proto/madang --diff --exit-code
