# The gateway and the VPN clients it drives, in one container. Two stages: what builds stays behind.
#
# BASE may name a mirror of the same image. The build secrets are optional: pip.conf and ca-certificates bring a private
# package index and its certificate authority, and leave nothing in a layer (scripts/build-image passes them).
ARG BASE=debian:bookworm-slim

# ---------------------------------------------------------------- builder: an environment without pip
FROM ${BASE} AS builder

RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY gateway gateway

# PIP_CONSTRAINT and not --constraint: it pins the build backend too.
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN --mount=type=secret,id=pip.conf \
    --mount=type=secret,id=ca-certificates \
    python3 -m venv /opt/pip \
 && python3 -m venv --without-pip /opt/gateway \
 && /opt/pip/bin/pip --python /opt/gateway/bin/python install --no-cache-dir .

# ---------------------------------------------------------------- the image
FROM ${BASE}

LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="TCP port forwarding through redundant VPN tunnels" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      iproute2 \
      libcharon-extauth-plugins \
      libcharon-extra-plugins \
      libstrongswan-standard-plugins \
      openvpn \
      python3 \
      strongswan-charon \
      strongswan-swanctl \
      wireguard-go \
      wireguard-tools \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
 && install -d -o gateway -g root -m 0770 /run/gateway /var/lib/gateway

COPY --from=builder /opt/gateway /opt/gateway
COPY config/forwards.toml /etc/gateway/forwards.toml

# pip compiled everything when it installed, and the user could not write it anyway.
# XDG_RUNTIME_DIR is where the control socket is looked for, by the gateway and by its verbs: /run/gateway/control.sock.
ENV PATH=/opt/gateway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_RUNTIME_DIR=/run

# Interface tunnels need no privilege; tunnels that the gateway brings up itself need --user 0 --cap-drop ALL
# --cap-add NET_ADMIN --device /dev/net/tun, and then the group's rights on the directories above are root's
# (docs/decisions.md, "The user in the container"). Numeric, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
WORKDIR /etc/gateway
EXPOSE 9099 33000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["--config", "/etc/gateway/forwards.toml"]
