"""Searches vectors with programs that others use, in turns with ours.

Usage: gallery_peers.py THREADS

Takes a command at a time on stdin, one line of JSON, and answers each with one:
  {"do": "open", "engine", "base", "rows", "m", "construction", "keep"}
      -> {"build_s", "load_s", "vector_bytes"}; keep: file of a built graph, "" for none
  {"do": "search", "queries", "first", "count", "batch", "k", "effort", "blas", "ids"}
      -> {"seconds": of each call, "cpu_s": of all, "ids": of each query, where wanted}
  {"do": "truth", "base", "rows", "queries", "count", "k"} -> {"ids"}
"""

import json
import os
import sys
import time

import numpy as np

THREADS = int(sys.argv[1])
CHUNK = 50_000  # rows at a time
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the libraries print is no answer


def mapped(path):
    """An .fvecs file as a matrix: before each row stands its dimension."""
    dimension = int(np.fromfile(path, "<i4", 1)[0])
    return np.memmap(path, "<f4", "r").reshape(-1, dimension + 1)[:, 1:]


def chunks(base):
    for at in range(0, len(base), CHUNK):
        yield at, np.ascontiguousarray(base[at : at + CHUNK])


class Faiss:
    def __init__(self, kind, rows, dimension, m, construction):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(THREADS)
        ip = faiss.METRIC_INNER_PRODUCT
        if kind == "flat":
            self.index = faiss.IndexFlatIP(dimension)
        elif kind == "sq8":
            self.index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, ip)
        else:
            self.index = faiss.IndexHNSWFlat(dimension, m, ip)
            self.index.hnsw.efConstruction = construction

    def add(self, at, rows):
        if not self.index.is_trained:
            self.index.train(rows)
        self.index.add(rows)

    def set(self, effort, blas):
        if effort:
            self.index.hnsw.efSearch = effort
        if blas:
            self.faiss.cvar.distance_compute_blas_threshold = blas

    def search(self, queries, k):
        return self.index.search(queries, k)[1]

    def save(self, path):
        self.faiss.write_index(self.index, path)

    def load(self, path):
        self.index = self.faiss.read_index(path)


class Hnswlib:
    def __init__(self, kind, rows, dimension, m, construction):
        import hnswlib

        self.rows, self.graph = rows, {"M": m, "ef_construction": construction}
        self.index = hnswlib.Index("ip", dimension)

    def add(self, at, rows):
        if at == 0:
            self.index.init_index(self.rows, **self.graph)
        self.index.add_items(rows, np.arange(at, at + len(rows)), num_threads=THREADS)

    def set(self, effort, blas):
        self.index.set_ef(effort)

    def search(self, queries, k):
        return self.index.knn_query(queries, k, num_threads=THREADS)[0]

    def save(self, path):
        self.index.save_index(path)

    def load(self, path):
        self.index.load_index(path, max_elements=self.rows)


class Usearch:
    def __init__(self, kind, rows, dimension, m, construction):
        from usearch.index import Index

        self.index = Index(ndim=dimension, metric="ip", dtype=kind, connectivity=m, expansion_add=construction)

    def add(self, at, rows):
        self.index.add(np.arange(at, at + len(rows)), rows, threads=THREADS)

    def set(self, effort, blas):
        self.index.expansion_search = effort

    def search(self, queries, k):
        return self.index.search(queries, k, threads=THREADS).keys

    def save(self, path):
        self.index.save(path)

    def load(self, path):
        self.index.load(path)


ENGINES = {
    "faiss_flat": (Faiss, "flat"),
    "faiss_sq8": (Faiss, "sq8"),
    "faiss_hnsw": (Faiss, "hnsw"),
    "hnswlib": (Hnswlib, ""),
    "usearch_f32": (Usearch, "f32"),
    "usearch_i8": (Usearch, "i8"),
}


def anonymous():
    """Memory of this process that is no file's, in bytes."""
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024


engine = None


def do_open(c):
    global engine
    engine = None  # one at a time is in memory
    base = mapped(c["base"])[: c["rows"]]
    make, kind = ENGINES[c["engine"]]
    before = anonymous()
    engine = make(kind, *base.shape, c["m"], c["construction"])
    times = {"build_s": 0, "load_s": 0}
    start = said = time.perf_counter()
    if c["keep"] and os.path.exists(c["keep"]):
        engine.load(c["keep"])
        times["load_s"] = time.perf_counter() - start
    else:
        for at, rows in chunks(base):
            engine.add(at, rows)
            if time.perf_counter() - said > 4:
                said = time.perf_counter()
                print(f"{c['engine']}: {at + len(rows)}/{len(base)}", file=sys.stderr)
        times["build_s"] = time.perf_counter() - start
        del rows
        if c["keep"]:
            engine.save(c["keep"] + ".part")
            os.replace(c["keep"] + ".part", c["keep"])
    return times | {"vector_bytes": (anonymous() - before) / len(base)}


def do_search(c):
    queries = np.ascontiguousarray(mapped(c["queries"])[c["first"] : c["first"] + c["count"]])
    engine.set(c["effort"], c["blas"])
    seconds, ids, cpu = [], [], time.process_time()
    for at in range(0, len(queries), c["batch"]):
        part = queries[at : at + c["batch"]]
        start = time.perf_counter()
        found = engine.search(part, c["k"])
        seconds.append(time.perf_counter() - start)
        if c["ids"]:
            ids += np.asarray(found).reshape(len(part), -1).tolist()
    return {"seconds": seconds, "cpu_s": time.process_time() - cpu, "ids": ids}


def do_truth(c):
    """The nearest by float64 products of those nearest by float32 ones."""
    base = mapped(c["base"])[: c["rows"]]
    queries = np.ascontiguousarray(mapped(c["queries"])[: c["count"]])
    keep = min(c["k"] + 54, len(base))
    ids, near = np.zeros((len(queries), 0), int), np.zeros((len(queries), 0), "f4")
    for at, rows in chunks(base):
        products = queries @ rows.T
        best = np.argpartition(products, -min(keep, len(rows)), 1)[:, -min(keep, len(rows)) :]
        near = np.hstack([near, np.take_along_axis(products, best, 1)])
        ids = np.hstack([ids, best + at])
        best = np.argpartition(near, -keep, 1)[:, -keep:]
        near, ids = np.take_along_axis(near, best, 1), np.take_along_axis(ids, best, 1)
    out = []
    for query, rows, products in zip(queries, ids, near):
        exact = base[rows].astype("f8") @ query.astype("f8")
        order = np.argsort(-exact, kind="stable")[: c["k"]]
        # Rows left out are below the least product kept: far enough, or float32 may have misled.
        if keep < len(base) and exact[order[-1]] < products.min() + 1e-5:
            raise ValueError("too many rows are equally near")
        out.append(rows[order].tolist())
    return {"ids": out}


for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = globals()["do_" + command["do"]](command)
    except Exception as e:  # the run goes on without this figure
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), file=answers, flush=True)
