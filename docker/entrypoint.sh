#!/bin/sh
# What a container of the Winnow image runs. The first word says as what:
#   winnow …     the command line
#   submit …     spark-submit to the cluster whose master is $WINNOW_MASTER, with this container as the driver
#   master, worker, history   the parts of a standalone cluster
#   driver, executor          what Spark on Kubernetes starts
# Anything else is run as it is.
set -eu

# The root file system may be read-only: caches go to /tmp, beginning with the kernels compiled when the image was built.
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-/tmp/cache}" HOME="${HOME:-/tmp}"
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-/tmp/kernels}"
if [ -d /opt/winnow/cache ] && [ ! -e "$NUMBA_CACHE_DIR" ]; then
  cp -R /opt/winnow/cache "$NUMBA_CACHE_DIR"
fi

properties=/app/conf/spark/cluster.conf
address() { hostname -i | cut -d ' ' -f 1; }
need_secret() {
  if [ -z "${_SPARK_AUTH_SECRET:-}" ]; then
    echo "The cluster has no secret: set WINNOW_SPARK_SECRET to a long random text (docs/deploy.md)." >&2
    exit 2
  fi
}

role="${1:-winnow}"
case "$role" in
  submit)
    shift
    need_secret
    exec spark-submit --master "$WINNOW_MASTER" --properties-file "$properties" \
      --conf "spark.driver.host=$(address)" --conf spark.driver.bindAddress=0.0.0.0 \
      --conf "spark.eventLog.dir=${WINNOW_EVENTS:-file:///data/events}" "$@"
    ;;
  master)
    need_secret
    exec spark-class org.apache.spark.deploy.master.Master --properties-file "$properties" --host "$(hostname)" \
      --port 7077 --webui-port 8080
    ;;
  worker)
    need_secret
    exec spark-class org.apache.spark.deploy.worker.Worker --properties-file "$properties" \
      --cores "${WINNOW_WORKER_CORES:-2}" --memory "${WINNOW_WORKER_MEMORY:-4g}" --work-dir /scratch/work \
      --webui-port 8081 "$WINNOW_MASTER"
    ;;
  history)
    mkdir -p "${WINNOW_EVENTS_DIR:-/data/events}"
    export SPARK_HISTORY_OPTS="-Dspark.history.fs.logDirectory=${WINNOW_EVENTS:-file:///data/events}"
    exec spark-class org.apache.spark.deploy.history.HistoryServer
    ;;
  driver)
    shift
    exec spark-submit --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "$@"
    ;;
  executor)
    # Spark hands Java options over one an environment variable, numbered.
    set --
    count=0
    while eval "option=\${SPARK_JAVA_OPT_$count-}" && [ -n "$option" ]; do
      set -- "$@" "$option"
      count=$((count + 1))
    done
    exec "$JAVA_HOME/bin/java" "$@" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
      -cp "${SPARK_CONF_DIR:-/opt/spark/conf}:/opt/spark/jars/*" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  *)
    exec "$@"
    ;;
esac
