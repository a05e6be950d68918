"""The best folding of a network by FINN's rules and costs, exactly: `space`, then `smallest`, `fastest` and `front`.

The solver is that of `hwdse.limited_choice`; the nodes and their formulas are those of `hwdse.finn_nodes`.
"""
