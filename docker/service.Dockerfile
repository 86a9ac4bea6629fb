# The Scanmend service: `--target cpu` (the default) or `--target gpu`. Build from the project's root:
#
#   docker build -f docker/service.Dockerfile --target cpu -t scanmend:cpu .
#   docker run --network host --init --shm-size 2g -v scanmend-data:/data scanmend:cpu
#
# --network host: the service listens on loopback only, and a container's own loopback cannot be reached from
# outside (docs/decisions/0008-compose-host-network.md). --init: a small process 1 that hands on signals.

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY models models
COPY hardware_sim hardware_sim
RUN python -m pip wheel --no-cache-dir --quiet --no-deps --wheel-dir /wheels .

FROM wheel AS cpu-packages
RUN python -m venv /opt/scanmend \
    && /opt/scanmend/bin/pip install --no-cache-dir --quiet "$(echo /wheels/scanmend-*.whl)[cpu,openvino]"

# CUDA 13 and cuDNN 9 come as Python packages with the gpu extra, so the image needs no CUDA base of its own:
# only the driver, which the NVIDIA container toolkit brings in from the host.
FROM wheel AS gpu-packages
RUN python -m venv /opt/scanmend \
    && /opt/scanmend/bin/pip install --no-cache-dir --quiet "$(echo /wheels/scanmend-*.whl)[gpu]"

FROM python:3.11-slim-bookworm AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin scanmend \
    && install -d -o scanmend -g scanmend -m 0700 /data
ENV PATH=/opt/scanmend/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SCANMEND_DATA_DIR=/data \
    SCANMEND_PORT=7501 \
    SCANMEND_HTTP_PORT=7580
# Recordings and the access token. Beside it only /tmp and /dev/shm are written to, so the rest may be read-only.
VOLUME /data
WORKDIR /data
USER 10001:10001
# The service drains on SIGTERM and writes the receipts; it takes 10 s at most.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['SCANMEND_HTTP_PORT']}/healthz\", timeout=2)"]
ENTRYPOINT ["scanmend"]
CMD ["serve"]

FROM runtime AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-packages /opt/scanmend /opt/scanmend

# Last, so that a build without --target gives this one.
FROM runtime AS cpu
COPY --from=cpu-packages /opt/scanmend /opt/scanmend
