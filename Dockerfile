# One node.  For the classic builder: no RUN --mount, no heredoc.  The first stage reads what a node
# needs at run time out of pyproject.toml, so that neither a change of the code nor one of the
# settings of our tools installs anything again.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS needs
COPY pyproject.toml /needs/
RUN python3 -c "import tomllib; print(*tomllib.load(open('/needs/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /needs/requirements.txt \
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
VOLUME /data
EXPOSE 8090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python3", "-c", "import urllib.request as u; from os import environ as e; u.urlopen('http://127.0.0.1:' + (e.get('SOCKET_ADDRESS') or e.get('ADDRESS') or ':' + (not e.get('NODE_IDENTIFIER') and e.get('PORT') or '8081')).rpartition(':')[2] + '/livez', timeout=2)"]
CMD ["python3", "-m", "node"]

# What changes most comes last: only this is built again when the code has changed.
COPY node/ /srv/node/
RUN python3 -m compileall -q /srv/node
USER 10001:10001
