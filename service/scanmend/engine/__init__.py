"""The engine: restores exposures, says how sure it is, and chooses what to scan again.

`Restorer` (in `scanmend.engine.restorer`) does it in any program; `python -m scanmend.engine` is the process that
does it for a service. The way of a frame there is `expose → restore → assess → choose`, in `scanmend.engine.steps`.
"""
