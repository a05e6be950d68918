"""Times kernels on the GPU of this machine, beside those of others and beside what the GPU allows."""
