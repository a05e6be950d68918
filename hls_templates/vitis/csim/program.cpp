// The accelerator and its testbench as one file: most of what a compiler takes are the headers of ap_int.
#include "../testbench.cpp"
#include "../top.cpp"
