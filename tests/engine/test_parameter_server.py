"""ParameterServerStrategy, with servers in the same process: the bits of a run without a strategy."""

import pytest
from helpers import run_python


@pytest.mark.parametrize("host", ["keras", "tf_keras"])
def test_a_custom_loop_has_the_bits_of_one_process(host):
    result = run_python(
        f"""
        import os, socket
        import numpy as np, tensorflow as tf
        import {host} as host, pyadam, pyadam.tf_keras

        optimizers = pyadam if host.__name__ == "keras" else pyadam.tf_keras

        def free_port():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return probe.getsockname()[1]

        cluster = tf.train.ClusterSpec({{job: [f"127.0.0.1:{{free_port()}}"] for job in ("worker", "ps")}})
        servers = [tf.distribute.Server(cluster, job_name=job, task_index=0) for job in ("worker", "ps")]
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
        strategy = tf.distribute.ParameterServerStrategy(resolver)
        coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

        def trained(scope, run):
            with scope:
                weights = [tf.Variable(tf.ones([3, 2])), tf.Variable(tf.ones([2]))]
                if host.__name__ == "keras":
                    weights = [host.Variable(tf.ones([3, 2])), host.Variable(tf.ones([2]))]
                optimizer = optimizers.AdamW(0.1, global_clipnorm=1.0, weight_decay=0.1)
                optimizer.build(weights)
            step = tf.function(lambda: optimizer.apply_gradients([(0.5 * tf.ones(w.shape), w) for w in weights]))
            for _ in range(5):
                run(step)
            return [np.array(v.numpy()) for v in (*weights, *optimizer.variables)]

        def scheduled(step):
            coordinator.schedule(tf.function(lambda: strategy.run(step)))
            coordinator.join()

        there, here = trained(strategy.scope(), scheduled), trained(tf.init_scope(), lambda step: step())
        print("equal", all(np.array_equal(a, b) for a, b in zip(there, here, strict=True)), len(there))
        os._exit(0)
        """,
        TF_NUM_INTEROP_THREADS="8",  # the servers live in this process
    )
    assert "equal True" in result.stdout, result.stdout + result.stderr
