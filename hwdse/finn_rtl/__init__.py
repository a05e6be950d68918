"""Synthesis of FINN's own RTL with open tools, which the cost model `finn-corrected` is fitted to.

The RTL is read where FINN+ is installed (`hwdse setup finn`), and is never copied into this project.
"""
