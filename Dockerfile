# docker build -t yolo9000 .                     the service on CPUs
# docker build -t yolo9000:gpu --target gpu .    the service on NVIDIA GPUs; CUDA and cuDNN come as wheels
#
# --build-arg MODEL=PATH    another model file in the place of the embedded one; a path within this folder
# --build-arg BASE=IMAGE    another image of Debian or Ubuntu with Python 3.11 or later, such as one pinned by digest
#
# docs/deploy.md tells how to run what comes out.

ARG BASE=python:3.13-slim-trixie

# --- what installs: none of it stays

FROM ${BASE} AS installer
WORKDIR /build
COPY deploy/locks/build.txt locks/
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/venv && \
    python3 -m venv /tools && \
    /tools/bin/pip install --require-hashes --only-binary=:all: -r locks/build.txt

FROM installer AS dependencies-cpu
COPY deploy/locks/cpu.txt locks/
RUN --mount=type=cache,target=/root/.cache/pip \
    /tools/bin/pip --python /opt/venv/bin/python install --require-hashes --only-binary=:all: -r locks/cpu.txt

FROM installer AS dependencies-gpu
COPY deploy/locks/gpu.txt locks/
RUN --mount=type=cache,target=/root/.cache/pip \
    /tools/bin/pip --python /opt/venv/bin/python install --require-hashes --only-binary=:all: -r locks/gpu.txt

# The code goes into a folder of its own, not among the dependencies: a change of it then is a layer of 3 MB.
FROM installer AS code
COPY pyproject.toml setup.py README.md LICENSE NOTICE ./
COPY training training
COPY model model
COPY app app
COPY yolo9000 yolo9000
RUN rm model/*.onnx && \
    /tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist . && \
    /tools/bin/pip --python /opt/venv/bin/python install --no-index --no-deps --target /opt/yolo9000 dist/*.whl

# --- what runs

FROM ${BASE} AS runtime
# A process that is PID 1 never gets a signal it has no handler for yet: without tini, SIGTERM would be lost while
# Python starts. Its version is Debian's, which keeps no others.
# hadolint ignore=DL3008
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends tini && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log && \
    mkdir /models
ENV PATH=/opt/yolo9000/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/yolo9000 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    ORT_TELEMETRY_DISABLED=1 \
    YOLO9000_HOST=0.0.0.0 \
    YOLO9000_PORT=8000 \
    YOLO9000_MODELS=/models
COPY --chmod=0644 deploy/image/healthcheck.py /opt/healthcheck.py
WORKDIR /
EXPOSE 8000
# A number, so that Kubernetes can see that it is not root. Nothing in the image belongs to it.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/opt/healthcheck.py"]
ENTRYPOINT ["tini", "--", "yolo9000"]
CMD ["serve"]
LABEL org.opencontainers.image.title="yolo9000" \
      org.opencontainers.image.description="A photo goes in; every object comes back with a box and a path through WordNet." \
      org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS gpu
ENV YOLO9000_PROVIDER=cuda NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=dependencies-gpu /opt/venv /opt/venv
ARG MODEL=model/default.onnx
COPY --chmod=0644 ${MODEL} /opt/yolo9000/yolo9000/model/default.onnx
COPY --from=code /opt/yolo9000 /opt/yolo9000
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"

# The last one is what `docker build` makes where no target is named.
FROM runtime AS cpu
COPY --from=dependencies-cpu /opt/venv /opt/venv
ARG MODEL=model/default.onnx
COPY --chmod=0644 ${MODEL} /opt/yolo9000/yolo9000/model/default.onnx
COPY --from=code /opt/yolo9000 /opt/yolo9000
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"
