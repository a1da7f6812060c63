# One image for every role of Airflow, for the work of TFX, and for Vertex AI's containers. See docs/stack.md.
#
# Ordered by how rarely things change: Debian's packages, the two locked environments, the code. A change of code copies
# a few files; a change of a lock builds only its environment anew.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS system
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git openssh-client python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log

# Compilers, uv and its cache stay in the stages below.
FROM system AS builder
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
# The environments hold their place: it is the same in the last stage. uv's cache is on another file system.
ENV RESPAN_HOME=/opt UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy
WORKDIR /src
COPY scripts/__init__.py scripts/
COPY scripts/setup scripts/setup

FROM builder AS airflow
COPY requirements.txt .
RUN --mount=type=cache,target=/var/cache/uv python3 -m scripts.setup airflow

FROM builder AS tfx
COPY ml/requirements-tfx1.21.txt ml/
# TensorFlow's C++ headers are for who compiles operations of their own.
RUN --mount=type=cache,target=/var/cache/uv python3 -m scripts.setup tfx \
 && rm -rf /opt/envs/tfx/lib/python3.13/site-packages/tensorflow/include

FROM system
# A new volume takes its owner from the folder that it is mounted on.
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /var/lib/respan respan \
 && install --directory --owner respan --group 0 --mode 770 \
    /var/lib/airflow /var/lib/airflow/logs /var/lib/pipelines /var/lib/respan /var/lib/serving /var/lib/storage
COPY --from=airflow /opt/envs/airflow /opt/envs/airflow
COPY --from=tfx /opt/envs/tfx /opt/envs/tfx
COPY . /opt/respan
RUN /opt/envs/tfx/bin/python -m compileall -q /opt/respan
# `python` is TFX's: Vertex AI's containers and people call `python -m ml …`; Airflow's has the command `airflow`.
ENV PATH=/opt/envs/tfx/bin:/opt/envs/airflow/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/respan \
    PYTHONUNBUFFERED=1 \
    RESPAN_HOME=/var/lib/respan \
    RESPAN_STORAGE=file:///var/lib/storage \
    RESPAN_TFX_PYTHON=/opt/envs/tfx/bin/python \
    AIRFLOW_HOME=/var/lib/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/respan/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/respan/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
WORKDIR /opt/respan
USER 50000:0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["airflow", "info"]
