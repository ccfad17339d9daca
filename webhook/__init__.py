"""One request over the wire: payload, headers, signature, address guard, sender, outcome, retry schedule."""
