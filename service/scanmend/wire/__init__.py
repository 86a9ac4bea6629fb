"""Bytes and messages of the native protocol; nothing else in the project knows bytes.

`docs/protocol.md` specifies what stands here, byte for byte.
"""
