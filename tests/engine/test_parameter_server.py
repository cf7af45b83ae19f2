"""ParameterServerStrategy, with servers in the same process: the bits of a run without a strategy; what is refused."""

import pytest
from helpers import run_python
from programs import addresses


@pytest.mark.parametrize("host", [pytest.param("keras", marks=pytest.mark.long), "tf_keras"])
def test_a_custom_loop_has_the_bits_of_one_process(host):
    result = run_python(
        f"""
        import os
        import numpy as np, tensorflow as tf
        import {host} as host, pyadam, pyadam.tf_keras

        optimizers = pyadam if host.__name__ == "keras" else pyadam.tf_keras

        tasks = [("worker", 0), ("ps", 0), ("ps", 1)]
        addresses = {addresses(3)!r}
        cluster = tf.train.ClusterSpec({{"worker": addresses[:1], "ps": addresses[1:]}})
        servers = [tf.distribute.Server(cluster, job_name=job, task_index=index) for job, index in tasks]
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
        large = tf.distribute.experimental.partitioners.MinSizePartitioner(min_shard_bytes=2000, max_shards=2)
        strategy = tf.distribute.ParameterServerStrategy(resolver, variable_partitioner=large)
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
        with strategy.scope():
            divided = tf.Variable(lambda: tf.ones([1000, 2]), shape=[1000, 2], name="table")
            try:
                optimizers.Adam().build([divided])
            except NotImplementedError as error:
                print(error, flush=True)
        os._exit(0)  # the servers run on, and a buffered line would be lost
        """,
        TF_NUM_INTEROP_THREADS="8",  # the servers live in this process
    )
    assert result.returncode == 0, result
    assert "equal True" in result.stdout, result.stdout + result.stderr
    words = "Adam: table is a ShardedVariable, divided among devices, which is not supported; make the strategy without"
    assert words in result.stdout, result.stdout + result.stderr
