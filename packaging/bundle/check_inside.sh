#!/usr/bin/env bash
# The part of check.sh that runs in the empty root, as an ordinary user.  Usage: check_inside.sh job|window
set -Eeuo pipefail
cd "$HOME"
says() { printf '         %s\n' "$*" >&2; }
step() { # WORDS COMMAND...: run it, keep what it writes, show the end of that when it fails
  local words=$1 began=$SECONDS
  shift
  "$@" >out.json 2>err.txt || { says "$words: exit code $?"; tail -n 15 out.json err.txt >&2; exit 1; }
  says "$words: $((SECONDS - began)) s"
}

job() {
  ! command -v python3 python >/dev/null || { says "there is a python here"; exit 1; }
  step "neuroweaver --help" neuroweaver --help
  step "neuroweaver doctor" neuroweaver doctor --json
  grep -q '"error"' out.json && { says "doctor finds errors:"; cat out.json >&2; exit 1; }
  step "neuroweaver kits" neuroweaver kits --json
  grep -q legal out.json
  step "every import of app/ and ui/" neuroweaver -c "$(</tmp/check_imports.py)"
  says "$(head -n 1 out.json)"
  cat >job.yaml <<'EOF'
extends: kits/legal
name: Check of the package
steps:
  train: {max_steps: 3, eval_rows: 4}
  evaluate: {items: 4, examples: 1}
  export: {quantization: [f16, q8_0], prompts: 3, new_tokens: 4, pass_mark: {top1: 0.5, kl: 1.0}}
  deploy: {gate: {min_gain: -1, require_better: false}}
EOF
  step "neuroweaver run job.yaml" neuroweaver run job.yaml --json
  grep -oE '"(id|state|seconds)": ("[^"]*"|[0-9.]+)' out.json | paste -sd' ' | fold -sw 130 >&2
  neuroweaver service --json --port 18650 >service.json 2>service.txt &
  local service=$! second
  for second in $(seq 60); do [ -s service.json ] && break; sleep 1; done
  local key base
  key=$(sed -n 's/.*"key": "\([^"]*\)".*/\1/p' service.json)
  base=$(sed -n 's/.*"base_url": "\([^"]*\)".*/\1/p' service.json)
  step "the endpoint's answer" env LD_LIBRARY_PATH=/tmp/curl /tmp/curl/curl -sS --fail-with-body --max-time 120 "$base/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
    -d '{"model": "licence-notices", "max_tokens": 12, "messages": [{"role": "user", "content": "Licensed under the MIT licence."}]}'
  grep -o '"content":"[^}]*' out.json >&2
  kill -TERM "$service"
  wait "$service" || { says "the service ended with $?"; tail -n 5 service.txt >&2; exit 1; }
}

window() {
  export QT_QPA_PLATFORM=xcb
  neuroweaver 2>window.txt &
  local shown=$!
  for _ in $(seq 300); do [ -e /tmp/close ] && break; sleep 1; done
  kill -TERM "$shown"
  wait "$shown" || { says "the window ended with $?"; cat window.txt >&2; exit 1; }
}

"$1"
