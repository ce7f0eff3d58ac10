# One node.  For the classic builder: no RUN --mount, no heredoc.  Dependencies come before the
# code, so that a change of the code alone builds in a second.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
FROM ${PYTHON_IMAGE}

ENV PATH=/opt/coterie/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Debian's own Python refuses pip outside of a virtual environment; an official image does not mind one.
COPY pyproject.toml /opt/coterie/pyproject.toml
RUN python3 -m venv /opt/coterie \
 && python3 -c "import tomllib; print(*tomllib.load(open('/opt/coterie/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /opt/coterie/requirements.txt \
 && pip install --no-cache-dir --disable-pip-version-check -r /opt/coterie/requirements.txt \
 && mkdir /data && chown 10001:10001 /data

COPY node/ /srv/node/
RUN python3 -m compileall -q /srv/node

WORKDIR /srv
USER 10001:10001
ENV DATA_DIR=/data
VOLUME /data
EXPOSE 8090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['SOCKET_ADDRESS'].rpartition(':')[2] + '/livez', timeout=2)"]
CMD ["python3", "-m", "node"]
