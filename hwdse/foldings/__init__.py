"""The best folding of a network, exactly: `space` of all options, then `smallest`, `fastest` and `front` of them."""
