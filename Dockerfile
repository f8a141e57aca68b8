# Two images from one file:
#
#   docker build --target service -t myopia-service:0.1.0 .      the gateway: HTTP, no torch
#   docker build --target worker  -t myopia-worker:0.1.0 .       the worker: torch, no fastapi
#
# Build arguments
#   PYTHON_IMAGE      base of every stage; pin it by digest where builds must repeat exactly
#   ACCELERATOR       cpu (default) or cuda: with cuda a C compiler comes along, for Triton
#   TORCH_INDEX_URL   where torch comes from: PyTorch's CPU index by default; empty takes PyPI's
#                     own build, which on Linux/x86-64 is the CUDA one
#   VERSION, REVISION, CREATED   OCI labels
#
# Everything else is locked by constraints.txt. Neither image reaches for the network at run time.

ARG PYTHON_IMAGE=python:3.11-slim

# --- locked dependencies ---------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_CONSTRAINT=/src/constraints.txt \
    PIP_BUILD_CONSTRAINT=/src/constraints.txt
WORKDIR /src
RUN python -m venv --without-pip /opt/venv
COPY constraints.txt pyproject.toml ./
# The metadata of the project without its rooms: installing it installs an extra's dependencies
# and nothing of ours, so that editing code does not touch this layer.
RUN touch README.md

# --- what both images share ------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 myopia \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin myopia
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1
WORKDIR /app
STOPSIGNAL SIGTERM
USER 10001:10001
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.vendor="Myopia" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# --- the gateway -----------------------------------------------------------------------------
FROM build AS build-service
RUN python -m pip --python /opt/venv/bin/python install '.[service,tracing,s3]'
COPY service /app/service
COPY wire /app/wire
COPY deploy/probe.py /app/probe.py
# whatever the builder's umask was, uid 10001 must be able to read it
RUN chmod -R a+rX /app && /opt/venv/bin/python -m compileall -q /app

FROM runtime AS service
LABEL org.opencontainers.image.title="myopia-service" \
      org.opencontainers.image.description="HTTP gateway for questions about several pictures"
COPY --from=build-service /opt/venv /opt/venv
COPY --from=build-service /app /app
# In a container the loopback address reaches nobody; what is published is the deployment's choice.
ENV MYOPIA_HOST=0.0.0.0 \
    MYOPIA_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "/app/probe.py", "MYOPIA_PORT", "8000", "/livez"]
ENTRYPOINT ["python", "-m", "service"]

# --- the worker ------------------------------------------------------------------------------
FROM build AS build-worker
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
# torch alone comes from its own index: nothing else may be shadowed by a second index.
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
      python -m pip --python /opt/venv/bin/python install --no-deps \
        --index-url "$TORCH_INDEX_URL" torch; \
    fi
RUN python -m pip --python /opt/venv/bin/python install '.[worker,tracing,s3]'
COPY worker /app/worker
COPY wire /app/wire
COPY myopia /app/myopia
COPY pocket /app/pocket
COPY deploy/probe.py deploy/fetch_model.py /app/
RUN chmod -R a+rX /app && /opt/venv/bin/python -m compileall -q /app && mkdir /models

FROM runtime AS worker
LABEL org.opencontainers.image.title="myopia-worker" \
      org.opencontainers.image.description="LLaVA-NeXT with a pruned KV cache, behind a queue"
ARG ACCELERATOR=cpu
USER root
# Triton builds its launchers with the machine's compiler the first time that a kernel runs.
RUN if [ "$ACCELERATOR" = cuda ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends gcc libc6-dev \
      && rm -rf /var/lib/apt/lists/*; \
    fi
USER 10001:10001
COPY --from=build-worker /opt/venv /opt/venv
COPY --from=build-worker /app /app
# A new volume mounted here takes over this owner, so that the job which fills it may write.
COPY --from=build-worker --chown=10001:10001 /models /models
ENV MYOPIA_MODEL=pocket \
    MYOPIA_WORKER_HOST=0.0.0.0 \
    MYOPIA_WORKER_PORT=8001 \
    HF_HOME=/models/hub
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "/app/probe.py", "MYOPIA_WORKER_PORT", "8001", "/livez"]
ENTRYPOINT ["python", "-m", "worker"]
