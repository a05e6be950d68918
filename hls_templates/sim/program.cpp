// The whole program in one translation unit: most of a compilation is headers.
// Verilator leaves out what a netlist does not need.

#if __has_include("Vtop__ConstPool__0__Slow.cpp")
#include "Vtop__ConstPool__0__Slow.cpp"
#endif
#if __has_include("Vtop__ConstPool_0.cpp")
#include "Vtop__ConstPool_0.cpp"
#endif
#include "Vtop.cpp"
#include "Vtop__Syms__Slow.cpp"
#include "Vtop___024root__0.cpp"
#include "Vtop___024root__0__Slow.cpp"
#include "Vtop___024root__Slow.cpp"

#ifndef DRIVER
#define DRIVER "driver.cpp"
#endif
#include DRIVER
