"""The acquire process: ingest, journal, ledger and ring; it never waits for a model.

The way of a frame through here, from top to bottom: `loop` takes it off the socket, `reception` checks it, `session`
records and queues it, `engine_desk` gives it to the engine, `answers` sends what came of it, `closing` accounts for it.
"""
