"""DGD on logistic regression by decent-bench, in its own environment: DATA.npz -> RESULT.npz.

DATA holds features [n, m, d], labels 0 or 1 [n, m], weights [n, n], edges [E, 2], x0 [n, d],
step_size and iterations; RESULT the iterates after the last iteration [n, d] and the processor's
seconds of the runs, snapshots at the end alone and no metrics.
"""

import sys
import time

import networkx as nx
import numpy as np
from decent_array import interoperability as iop
from decent_bench.agents import Agent
from decent_bench.algorithms.p2p import DGD
from decent_bench.costs import LogisticRegressionCost
from decent_bench.networks import P2PNetwork


def network(given):
    """Agents with their rows, on the graph."""
    agents = []
    for rows, labels in zip(given["features"], given["labels"], strict=True):
        points = [
            (iop.from_numpy(a), iop.from_numpy(np.array([y])))
            for a, y in zip(rows, labels, strict=True)
        ]
        cost = LogisticRegressionCost(points)
        agents.append(Agent(cost, state_snapshot_period=int(given["iterations"]) + 1))
    graph = nx.Graph()
    graph.add_nodes_from(range(len(agents)))
    graph.add_edges_from(given["edges"].tolist())
    found = P2PNetwork(graph, agents)
    found.weights = iop.from_numpy(given["weights"])
    return found, agents


def main(source, target):
    """Run twice, the first time to warm up."""
    iop.set_backend("numpy")
    given = np.load(source)
    taken = []
    for _ in range(2):
        net, agents = network(given)
        start = {a: iop.from_numpy(x.copy()) for a, x in zip(agents, given["x0"], strict=True)}
        algorithm = DGD(step_size=float(given["step_size"]), x0=start)
        begun = time.process_time()
        algorithm.run(net, int(given["iterations"]))
        taken.append(time.process_time() - begun)
    x = np.array([iop.to_numpy(agent.x) for agent in agents])
    np.savez(target, x=x, seconds=min(taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
