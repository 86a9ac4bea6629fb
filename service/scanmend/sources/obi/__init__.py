"""Open Beam Interface: a scan generator that takes points one by one, over its byte protocol."""
