# docker build -t reluopt . && docker run --rm -v "$PWD/runs:/runs" reluopt attack thesis --images test:0-9 --out /runs/l1
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY python ./python
COPY julia ./julia
RUN python -m venv /opt/reluopt && /opt/reluopt/bin/pip install --no-cache-dir '.[scip]'

FROM python:3.12-slim
COPY --from=build /opt/reluopt /opt/reluopt
ENV PATH=/opt/reluopt/bin:$PATH NUMBA_CACHE_DIR=/opt/reluopt/kernels PYTHONUNBUFFERED=1
# Kernels are compiled for the machine that builds the image; another one compiles its own.
RUN useradd --create-home reluopt && mkdir -p /opt/reluopt/kernels /runs \
    && chown reluopt /opt/reluopt/kernels /runs
USER reluopt
RUN reluopt compile
WORKDIR /runs
ENTRYPOINT ["reluopt"]
CMD ["--help"]
