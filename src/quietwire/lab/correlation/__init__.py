"""Correlation: who talks to whom, from times and sizes alone. Simulated with measured timings, and validated where the
answer is known (docs/laboratory-correlation.md). Needs the extra `lab`.

`talk`, `timings`, `shapes` and `world` make what a watcher sees; `likelihood`, `wavelet`, `learned`, `disclosure` and
`groups` are attackers: they get arrays of times, links and sizes, and never import what made them. `linking`, `active`
and `frontier` join the two; `optimum` says what the best attacker can reach.
"""
