"""pylb against its peers: what a request costs each of them, measured side by side in one run.

The question is CPU time per request, because it is what a proxy really spends: requests per second depend on
who else uses the machine, CPU time much less. One worker of the proxy has a core for itself; the load
generators (wrk, and the clients of bench/origin) and the backends (bench/origin too, answers from memory)
share another, so that neither disturbs the other's caches or clock.

`cells` says what is measured and which bars pylb must hold; `peers` how each proxy is configured; `proxy`
starts one with a `certificate` where it needs one, asks by `probe` whether it answers, and stops it; `place`
gives it its core and a network of its own; `load` drives the clients and `origin` the backends; `meter` reads
CPU time and memory; `once` takes one measurement and `run` puts rounds together; `report`, `chart` and
`results` show and keep what came out; `syscalls` is a check of its own. README.md says how to use it and how
far to trust it.
"""
