#!/bin/sh
# usage: sh run.sh [csim | synth | cosim]
#   csim   compiles the C++, sends all images through it and compares every sum
#   synth  makes RTL of it, and an IP for Vivado
#   cosim  makes RTL of it, and simulates that with two images
# The first of these tools that is installed does it: vitis-run with v++, vitis_hls, vivado_hls; of csim also g++, where
# AP_TYPES names a folder with ap_int.h: see README.md.
set -eu
cd "$(dirname "$0")"
step=${1:-csim}
case $step in
    csim | synth | cosim) ;;
    *) echo "a step is csim, synth or cosim, not $step" >&2; exit 2 ;;
esac

have() { command -v "$1" > /dev/null 2>&1; }

if have vitis-run && have v++; then
    if [ "$step" = csim ]; then
        exec vitis-run --mode hls --csim --config hls_config.cfg --work_dir hls_component
    fi
    v++ -c --mode hls --config hls_config.cfg --work_dir hls_component
    case $step in
        synth) exec vitis-run --mode hls --package --config hls_config.cfg --work_dir hls_component ;;
        cosim) exec vitis-run --mode hls --cosim --config hls_config.cfg --work_dir hls_component ;;
    esac
elif have vitis_hls; then
    HWDSE_STEP=$step exec vitis_hls -f run.tcl
elif have vivado_hls; then
    HWDSE_STEP=$step exec vivado_hls -f run.tcl
elif [ "$step" = csim ] && [ -n "${AP_TYPES:-}" ]; then
    "${CXX:-g++}" -std=c++17 -O1 -w -I csim -I "$AP_TYPES" csim/program.cpp -o testbench
    exec ./testbench
else
    echo "$step needs vitis-run and v++, vitis_hls or vivado_hls; csim also runs with g++ where AP_TYPES is set" >&2
    exit 2
fi
