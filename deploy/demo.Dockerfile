# The stories of `examples/`, for the profile `demo` of compose.yaml: they are clients of its nodes.
# For the classic builder.  It does not begin with the image of a node: builders that build both at
# the same time have no such image yet.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
FROM ${PYTHON_IMAGE}
ENV PATH=/opt/coterie/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY pyproject.toml /opt/coterie/
RUN python3 -c "import tomllib; project = tomllib.load(open('/opt/coterie/pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *project['optional-dependencies']['node'], sep='\n')" > /opt/coterie/requirements.txt \
 && python3 -m venv /opt/coterie \
 && pip install --no-cache-dir --disable-pip-version-check -r /opt/coterie/requirements.txt
WORKDIR /srv
COPY node/ /srv/node/
COPY cluster/ /srv/cluster/
COPY coterie/ /srv/coterie/
COPY examples/ /srv/examples/
USER 10001:10001
