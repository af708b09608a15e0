# One image for the API, the workers and the migration; the command chooses.
FROM python:3.12-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
WORKDIR /source
COPY pyproject.toml MANIFEST.in README.md LICENSE ./
COPY raiw raiw
COPY service service
COPY worker worker
COPY migrations migrations
# Workers that score, prune and train need server,torch,data.
ARG EXTRAS=server
RUN pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.12-slim
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
