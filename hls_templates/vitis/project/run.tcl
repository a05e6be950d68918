# For `vitis-run --mode hls --tcl run.tcl`, and where there is no vitis-run, `vitis_hls -f run.tcl` or, before that,
# `vivado_hls -f run.tcl`: UG1399, 'Vitis HLS Command Reference'. HWDSE_STEP in the environment is csim, synth or cosim.
set step csim
if {[info exists ::env(HWDSE_STEP)]} { set step $::env(HWDSE_STEP) }
if {[lsearch {csim synth cosim} $step] < 0} { error "a step is csim, synth or cosim, not $step" }

open_project -reset hls_project
set_top accelerator
add_files top.cpp
add_files -tb testbench.cpp
add_files -tb codes.bin
add_files -tb sums.bin
open_solution -reset solution
set_part {@PART@}
create_clock -period @CLOCK@ -name default
if {$step eq "csim"} {
    csim_design
} else {
    csynth_design
    if {$step eq "cosim"} {
        cosim_design -argv {codes.bin sums.bin 2}
    } else {
        export_design -format ip_catalog
    }
}
exit
