# One image for the API, the workers and the migration; the command chooses.
# The digest of a newer base image:  docker buildx imagetools inspect python:3.12-slim
ARG PYTHON_IMAGE=python:3.12.12-slim@sha256:f3fa41d74a768c2fce8016b98c191ae8c1bacd8f1152870a3f9f87d350920b7c
FROM ${PYTHON_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /source
# Workers that score, prune and train need server,torch,data.
ARG EXTRAS=server
# What raiw depends on is a layer of its own: an edit of the source does not install it again.
COPY pyproject.toml .
RUN python -c 'import sys, tomllib; \
      told = tomllib.load(open("pyproject.toml", "rb")); project = told["project"]; \
      extras = [one for name in sys.argv[1].split(",") for one in project["optional-dependencies"][name]]; \
      print(*told["build-system"]["requires"], *project["dependencies"], *extras, sep="\n")' "$EXTRAS" > requirements \
 && pip install --no-cache-dir --requirement requirements
COPY MANIFEST.in README.md LICENSE ./
COPY raiw raiw
COPY service service
COPY worker worker
COPY migrations migrations
# The context holds no git history to read the version from.
ARG VERSION=0.0.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION_FOR_RAIW=$VERSION \
    pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --create-home raiw \
 && install --directory --owner raiw --mode 0700 /var/lib/raiw
COPY --from=build /venv /venv
# The root file system may be read-only; scratch files go to /tmp.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAIW_STATE_DIR=/var/lib/raiw \
    RAIW_HOST=0.0.0.0
USER raiw
VOLUME /var/lib/raiw
EXPOSE 8321
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8321/readyz', timeout=4)"]
CMD ["raiw", "serve"]
