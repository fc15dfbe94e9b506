# Winnow with everything it needs: driver, executors and command line share this one image, so versions cannot differ.
# Official Spark images carry Python 3.10, which Spark 4.3 no longer takes.
FROM python:3.11-slim-bookworm AS runtime

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# A Java without a desktop; tini reaps the workers' orphans and passes signals on; procps for Spark's scripts.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless=17.* procps=2:4.* tini=0.19.* \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")" /opt/java
ENV JAVA_HOME=/opt/java \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /app
# Dependencies first: this layer changes only with the lock files. Every file is checked against its hash.
COPY requirements-build.lock requirements.lock ./
RUN pip install --no-deps --require-hashes --requirement requirements-build.lock \
    && pip install --no-deps --no-build-isolation --require-hashes --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY udfs udfs
COPY jobs jobs
# One copy of the code: /app/jobs and /app/conf point into the installed package.
RUN pip install --no-deps --no-build-isolation . \
    && rm -rf conf udfs jobs \
    && site="$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && ln -s "$site/jobs" jobs && ln -s "$site/jobs/_conf" conf && ln -s "$site/pyspark" /opt/spark

COPY docker/entrypoint.sh /usr/local/bin/winnow-entrypoint
# Compiled kernels are baked in; the entry point copies them to where the container may write.
RUN useradd --uid 185 --gid 0 --create-home --shell /usr/sbin/nologin winnow \
    && install -d -o 185 -g 0 -m 0775 /data /scratch /opt/winnow/cache \
    && chmod 0755 /usr/local/bin/winnow-entrypoint
ENV SPARK_HOME=/opt/spark \
    PATH=/opt/spark/bin:$PATH \
    PYSPARK_PYTHON=/usr/local/bin/python3 \
    PYSPARK_DRIVER_PYTHON=/usr/local/bin/python3 \
    SPARK_LOCAL_DIRS=/scratch \
    SPARK_NO_DAEMONIZE=1
USER 185
RUN NUMBA_CACHE_DIR=/opt/winnow/cache python -m udfs.warm

VOLUME ["/data", "/scratch"]
ENTRYPOINT ["tini", "--", "winnow-entrypoint"]
CMD ["winnow", "--help"]
