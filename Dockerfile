# The images of torchmesh. `make images` builds them; each is a target: gateway, router, accounts, pipelines, portal, worker-cpu, worker-cuda, tools.
#
# PROGRAMS=built      compiles the programs here (the default)
# PROGRAMS=prebuilt   takes those that `make build` has put into target/release; they must be of this release of Debian or an older one
#
# RUST_IMAGE, BASE_IMAGE, PYTHON_IMAGE: what it stands on, best by digest (debian@sha256:…). SOURCE_DATE_EPOCH: the time that our files have, and that the images say they are of.
ARG RUST_IMAGE=rust:1.90-bookworm
ARG BASE_IMAGE=debian:bookworm-slim
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG PROGRAMS=built

# libtorch, checked against setup/catalogue.json. It is copied out of the cache, which is no part of a layer. pip says where packages come from. Programs run with /libraries, which has no
# headers, and whose times never change: a worker's largest layer is the same in every version.
FROM ${PYTHON_IMAGE} AS libtorch
WORKDIR /src
COPY setup setup
RUN --mount=type=cache,id=torchmesh-fetched,target=/root/.cache/torchmesh \
    python3 setup/fetch.py libtorch --home /src/.torchmesh \
    && cp -aL .torchmesh/libtorch /opt/libtorch \
    && cp -al /opt/libtorch /libraries \
    && rm -rf /libraries/torch/include \
    && find /libraries -exec touch --no-dereference --date @0 {} +

# All programs at once, as everywhere: with some left out, cargo would choose other features for what they share.
FROM ${RUST_IMAGE} AS built
ENV LIBTORCH=/opt/libtorch/torch
WORKDIR /src
COPY --from=libtorch /opt/libtorch /opt/libtorch
COPY . .
RUN --mount=type=cache,id=torchmesh-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=torchmesh-target,target=/src/target \
    cargo build --release --locked --workspace --bins \
    && mkdir /programs \
    && cp target/release/torchmesh-gateway target/release/torchmesh-router target/release/torchmesh-accounts \
          target/release/torchmesh-pipelines target/release/torchmesh-portal target/release/torchmesh-worker target/release/meshctl /programs/

# Beside a worker that was built elsewhere lies the same libtorch as beside one that was built here.
FROM ${BASE_IMAGE} AS prebuilt
COPY target/release/torchmesh-gateway target/release/torchmesh-router target/release/torchmesh-accounts \
     target/release/torchmesh-pipelines target/release/torchmesh-portal target/release/torchmesh-worker target/release/meshctl /programs/

# hadolint ignore=DL3006
FROM ${PROGRAMS} AS programs

# One small root folder for each image: a program, the libraries that it names, certificates, and a user.
FROM ${BASE_IMAGE} AS roots
# The newest fixes of this release of Debian are wanted, whatever their numbers.
# hadolint ignore=DL3008
RUN --mount=type=cache,id=torchmesh-apt,target=/var/cache/apt,sharing=locked \
    apt-get update \
    && apt-get install --yes --no-install-recommends binutils ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY images/make-root.sh /usr/local/bin/make-root
ARG SOURCE_DATE_EPOCH=0
COPY --from=programs /programs /programs
RUN make-root gateway torchmesh-gateway \
    && make-root router torchmesh-router \
    && make-root accounts torchmesh-accounts \
    && make-root pipelines torchmesh-pipelines \
    && make-root portal torchmesh-portal \
    && make-root worker torchmesh-worker

# What each image is made of (SPDX), for scanners and for whoever has to say it. It lies in the image, at its root.
FROM ${PYTHON_IMAGE} AS sboms
ARG VERSION=dev
ARG SOURCE_DATE_EPOCH=0
WORKDIR /src
COPY Cargo.lock Cargo.lock
COPY setup/catalogue.json setup/catalogue.json
COPY images/sbom.py images/sbom.py
COPY shared shared
COPY services services
RUN --mount=type=bind,from=roots,source=/roots,target=/roots \
    for image in gateway router accounts pipelines portal; do \
      python3 images/sbom.py "$image" "/sboms/$image/sbom.spdx.json" --version "${VERSION}" --program "torchmesh-$image" \
        --dpkg "/roots/$image/var/lib/dpkg/status.d" || exit 1; \
    done \
    && python3 images/sbom.py worker-cpu /sboms/worker-cpu/sbom.spdx.json --version "${VERSION}" --program torchmesh-worker --libtorch \
      --dpkg /roots/worker/var/lib/dpkg/status.d \
    && find /sboms -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM scratch AS gateway
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh gateway" \
      org.opencontainers.image.description="The front door: who may call, limits, metering" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=roots /roots/gateway/ /
COPY --from=sboms /sboms/gateway/ /
USER 65532:65532
EXPOSE 8080 9080
ENTRYPOINT ["/usr/local/bin/torchmesh-gateway"]

FROM scratch AS router
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh router" \
      org.opencontainers.image.description="Which version and which instance answers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=roots /roots/router/ /
COPY --from=sboms /sboms/router/ /
USER 65532:65532
EXPOSE 8081 9081
ENTRYPOINT ["/usr/local/bin/torchmesh-router"]

FROM scratch AS accounts
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh accounts" \
      org.opencontainers.image.description="Tenants, keys and what they have used" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=roots /roots/accounts/ /
COPY --from=sboms /sboms/accounts/ /
USER 65532:65532
EXPOSE 8083 9083
ENTRYPOINT ["/usr/local/bin/torchmesh-accounts"]

FROM scratch AS pipelines
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh pipelines" \
      org.opencontainers.image.description="Models chained into one call" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=roots /roots/pipelines/ /
COPY --from=sboms /sboms/pipelines/ /
USER 65532:65532
EXPOSE 8085 9085
ENTRYPOINT ["/usr/local/bin/torchmesh-pipelines"]

FROM scratch AS portal
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh portal" \
      org.opencontainers.image.description="Web pages for who calls models, who pays and who runs them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=roots /roots/portal/ /
COPY --from=sboms /sboms/portal/ /
USER 65532:65532
EXPOSE 8084 9084
ENTRYPOINT ["/usr/local/bin/torchmesh-portal"]

FROM scratch AS worker-cpu
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh worker, CPU" \
      org.opencontainers.image.description="Runs PyTorch models and answers for them over gRPC" \
      org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=libtorch /libraries /opt/libtorch
COPY --from=roots /roots/worker/ /
COPY --from=sboms /sboms/worker-cpu/ /
ENV LD_LIBRARY_PATH=/opt/libtorch/torch/lib:/opt/libtorch/nvidia/cu13/lib
USER 65532:65532
EXPOSE 8082 9082
ENTRYPOINT ["/usr/local/bin/torchmesh-worker"]

# The whole of PyTorch's own wheel and of NVIDIA's that it names: the same program opens libtorch_cuda.so when it is there.
FROM ${PYTHON_IMAGE} AS libtorch-cuda
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN --mount=type=cache,id=torchmesh-pip,target=/root/.cache/pip \
    python3 -m pip install --only-binary :all: --target /wheels torch==2.11.0 \
    && python3 -m pip list --path /wheels --format json > /wheels.json \
    && mkdir -p /opt/libtorch/torch \
    && mv /wheels/torch/lib /opt/libtorch/torch/lib \
    && mv /wheels/nvidia /opt/libtorch/nvidia \
    && find /opt/libtorch -name '*.a' -delete \
    && find /opt/libtorch/nvidia -name '*.so*' -printf '%h\n' | sort -u > /opt/libtorch/folders \
    && mkdir /conf && cp /opt/libtorch/folders /conf/torchmesh.conf

# What it stands on, as it is.
FROM ${BASE_IMAGE} AS base

FROM sboms AS sbom-cuda
ARG VERSION=dev
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=bind,from=base,source=/var/lib/dpkg,target=/dpkg \
    --mount=type=bind,from=libtorch-cuda,source=/wheels.json,target=/wheels.json \
    python3 images/sbom.py worker-cuda /sbom/sbom.spdx.json --version "${VERSION}" --program torchmesh-worker --dpkg /dpkg/status \
      --wheels /wheels.json 'torch|nvidia-.*'

FROM ${BASE_IMAGE} AS worker-cuda
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh worker, CUDA" \
      org.opencontainers.image.description="Runs PyTorch models on NVIDIA's GPUs and answers for them over gRPC" \
      org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause AND LicenseRef-NVIDIA-CUDA" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=libtorch-cuda /opt/libtorch /opt/libtorch
COPY --from=libtorch-cuda /conf /etc/ld.so.conf.d
COPY --from=roots /roots/worker/ /
COPY --from=sbom-cuda /sbom/ /
RUN ldconfig
# What the container toolkit of NVIDIA gives the container of the machine's driver.
ENV LD_LIBRARY_PATH=/opt/libtorch/torch/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
EXPOSE 8082 9082
ENTRYPOINT ["/usr/local/bin/torchmesh-worker"]

# meshctl, with a shell and Python: what the chart's hooks and tests run, and what operators open a shell in.
FROM ${BASE_IMAGE} AS tools
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="torchmesh tools" \
      org.opencontainers.image.description="meshctl, and what the chart's hooks run" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.created="${CREATED}"
# hadolint ignore=DL3008
RUN --mount=type=cache,id=torchmesh-apt,target=/var/cache/apt,sharing=locked \
    apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=roots /programs/meshctl /usr/local/bin/meshctl
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=bind,from=sboms,source=/src,target=/src \
    python3 /src/images/sbom.py tools /sbom.spdx.json --version "${VERSION}" --program torchmesh-meshctl --dpkg /var/lib/dpkg/status
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/meshctl"]
