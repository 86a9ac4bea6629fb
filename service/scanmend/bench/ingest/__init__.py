"""How fast an instrument's stream can be read, beside programs of others that read the same stream."""

from scanmend.bench.ingest.ingest import bench_ingest

__all__ = ["bench_ingest"]
