"""Measures units with open tools, so that the cost model can be fitted to them."""
