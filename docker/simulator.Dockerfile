# The simulated microscope. Build from the project's root:
#
#   docker build -f docker/simulator.Dockerfile -t scanmend-simulator .
#   docker run --network host --init scanmend-simulator sparse --sessions 0
#
# It talks to a service on the same machine, over the same protocol as a real microscope. It holds no runtime: it
# restores nothing.

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY models models
COPY hardware_sim hardware_sim
RUN python -m pip wheel --no-cache-dir --quiet --no-deps --wheel-dir /wheels . \
    && python -m venv /opt/scanmend \
    && /opt/scanmend/bin/pip install --no-cache-dir --quiet /wheels/scanmend-*.whl

FROM python:3.11-slim-bookworm AS simulator
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin scanmend
COPY --from=wheel /opt/scanmend /opt/scanmend
ENV PATH=/opt/scanmend/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
# Like Ctrl-C: it ends the session and prints the receipt.
STOPSIGNAL SIGINT
# It serves nothing that could be asked; when it fails, it ends, and whoever started it sees that.
HEALTHCHECK NONE
ENTRYPOINT ["scanmend", "simulate"]
CMD ["sparse", "--sessions", "0"]
