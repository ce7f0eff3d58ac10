# One node.  For the classic builder: no RUN --mount, no heredoc.  The first stage reads what a node
# needs at run time out of pyproject.toml, so that neither a change of the code nor one of the
# settings of our tools installs anything again.  PYTHON_IMAGE may have a digest (docs/deploy.md).
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS needs
COPY pyproject.toml /needs/
RUN python3 -c "import tomllib; print(*tomllib.load(open('/needs/pyproject.toml', 'rb'))['project']['optional-dependencies']['node'], sep='\n')" > /needs/requirements.txt \
 && touch -d @0 /needs/requirements.txt

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/coterie/bin:$PATH \
    DATA_DIR=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=needs /needs/requirements.txt /opt/coterie/
# A virtual environment, because Debian's own Python refuses pip outside of one.
RUN python3 -m venv /opt/coterie \
 && pip install --no-cache-dir --disable-pip-version-check -r /opt/coterie/requirements.txt \
 && mkdir /data && chown 10001:10001 /data
WORKDIR /srv
# No VOLUME: each would leave one without a name behind.  What /data holds lives as long as the
# container, or in what is mounted there (-v NAME:/data).
EXPOSE 8090
STOPSIGNAL SIGTERM
# Without Python, which would cost as much as all else that an idle node does.  Most of what is left
# is the engine's own price of running something in a container; so it does not ask too often.
HEALTHCHECK --interval=20s --timeout=3s --start-period=10s --retries=2 \
  CMD ["bash", "-c", "at=${SOCKET_ADDRESS:-$ADDRESS}; [ -n \"$at$NODE_IDENTIFIER\" ] || at=$PORT; at=${at:-8081}; exec 3<>/dev/tcp/127.0.0.1/${at##*:} || exit 1; [ -z \"$TLS_CERT\" ] || exit 0; printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 2 said <&3 && [[ $said == 'HTTP/1.'?' 200 '* ]]"]
CMD ["python3", "-m", "node"]

# What changes most comes last: only this is built again when the code has changed.
COPY node/ /srv/node/
RUN python3 -m compileall -q /srv/node
USER 10001:10001
