"""Post-training quantisation techniques: one file each, found by its name."""
