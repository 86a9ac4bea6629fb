"""The keeper: the process that does by itself what nobody waits for. `docs/sessions.md` is the guide.

It exports a session that has ended, closes one that was cut off and that nobody takes up, applies the limits of
retention, and says how long the disk lasts. It runs with the lowest priority, takes no part in the way of a frame,
and may die at any moment: everything it does is whole or not there.
"""
