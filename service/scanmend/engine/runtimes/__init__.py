"""What executes ONNX files: one file a runtime, one line each in `registry`."""

from scanmend.engine.runtimes.seam import Candidate, Picture, Runtime, RuntimeFactory, RuntimeInfo

__all__ = ["Candidate", "Picture", "Runtime", "RuntimeFactory", "RuntimeInfo"]
