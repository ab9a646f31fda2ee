"""Find groups of genes by what is written about them: the genomics workload of HELIX (PVLDB 2018, section 6).

Names of a lexicon are found in articles, words get vectors by the company they keep, each gene gets the vector of its
names, and genes are clustered:

    python flows/genomics.py                   # the first run computes everything
    python flows/genomics.py --clusters 15     # cluster and what follows
    python flows/genomics.py --dimensions 50   # embed and what follows; the counts of pairs stay
    python flows/genomics.py --window 8        # count and what follows; mentions stay

Vectors are made as word2vec makes them but for the optimiser: skip-gram with negative sampling factors the matrix of
shifted pointwise mutual information (Levy and Goldberg 2014), and a truncated singular value decomposition does so
directly, with the same result every time.

With `--data FOLDER` (or the environment variable `HELIX_DATA`) the texts are 84 articles on mouse genetics (CRAFT) and
20,131 sentences of PubMed (BC2GM), and the lexicon the human genes of Entrez. The default texts are the 300 news
stories of the Lee corpus in the package `gensim`, and the lexicon there is of countries, from the package `tzdata`.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from genomics_text import (
    STOP_WORDS,
    count_pairs,
    longest_matches,
    plain_name,
    positive_pmi,
    shared_documents,
    unit_rows,
    words,
)
from pydantic import PositiveFloat, PositiveInt
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.metrics import davies_bouldin_score, silhouette_score
from sklearn.utils.extmath import randomized_svd
from workload import data_root, find, packaged, run

from prefect_helix import File, helix_flow, helix_task


@dataclass(frozen=True)
class Source:
    """Where the texts and the lexicon are."""

    texts: tuple[str, ...]
    lexicon: str


@helix_task
def read_texts(source: File) -> pd.Series:
    """Read texts: the articles of an archive, the sentences of a file with a word and its tag a line, or the lines."""
    with source.open("rb") as stream:
        content = stream.read()
    if source.path.endswith(".tar.xz"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = sorted((m for m in archive if m.name.endswith(".txt")), key=lambda member: member.name)
            texts = [stream.read().decode() for member in members if (stream := archive.extractfile(member))]
    elif source.path.endswith(".tsv.gz"):
        sentences = gzip.decompress(content).decode().strip("\n").split("\n\n")
        texts = [" ".join(line.split("\t")[0] for line in sentence.split("\n")) for sentence in sentences]
    else:
        texts = content.decode().strip("\n").split("\n")
    return pd.Series(texts, dtype="str")


@helix_task
def read_lexicon(source: File) -> pd.DataFrame:
    """Read a lexicon: the `identity` of each gene or country, and one of the names for it."""
    with source.open("rb") as stream:
        content = stream.read()
    if source.path.endswith(".gz"):
        table = pd.read_csv(io.BytesIO(gzip.decompress(content)), sep="\t", dtype="str", keep_default_na=False)
        return table.rename(columns={"GeneID": "identity", "symbol": "name"})[["identity", "name"]]
    lines = (line.split("\t") for line in content.decode().splitlines() if line and not line.startswith("#"))
    return pd.DataFrame(lines, columns=["identity", "name"], dtype="str")


@helix_task
def tokenise(texts: list[pd.Series], repeat: int) -> pd.DataFrame:
    """Part texts into words: a frame with the `document` and the `word` of each, all texts `repeat` times."""
    lists = [words(text) for text in pd.concat(texts)] * repeat
    documents = np.repeat(np.arange(len(lists), dtype=np.int32), [len(tokens) for tokens in lists])
    flat = pd.Series([word for tokens in lists for word in tokens], dtype="str")
    return pd.DataFrame({"document": documents, "word": flat.astype("category")})


@helix_task
def find_mentions(tokens: pd.DataFrame, lexicon: pd.DataFrame, shortest: int) -> pd.DataFrame:
    """Find the names of the lexicon, but for stop words and those shorter than `shortest` letters.

    Returns:
        A frame with a row per mention: its `document`, its words from `start` to `stop`, and the `name` of the gene,
        which is the first that the lexicon has.
    """
    first = lexicon.groupby("identity", sort=False)["name"].transform("first")
    names: dict[tuple[str, ...], str] = {}
    for name, gene in zip(lexicon["name"], first, strict=True):
        plain = plain_name(name)
        if sum(map(len, plain)) >= shortest and not (len(plain) == 1 and plain[0] in STOP_WORDS):
            names.setdefault(plain, gene)
    longest = max(map(len, names), default=0)
    found = list(longest_matches(tokens["word"].tolist(), names, longest))
    mentions = pd.DataFrame(found, columns=["start", "stop", "name"]).astype({"name": "str"})
    return mentions.assign(document=tokens["document"].to_numpy()[mentions["start"]])


@helix_task
def count(tokens: pd.DataFrame, window: int, rarest: int) -> tuple[sparse.csr_array, pd.Series]:
    """Count which words are how often near which, for words that occur `rarest` times or more."""
    occurrences = tokens["word"].value_counts()
    vocabulary = sorted(occurrences.index[occurrences >= rarest])
    codes = pd.Index(vocabulary).get_indexer(tokens["word"].cat.categories)[tokens["word"].cat.codes]
    pairs = count_pairs(codes, tokens["document"].to_numpy(), len(vocabulary), window)
    return pairs, pd.Series(vocabulary, dtype="str")


@helix_task
def weigh(pairs: sparse.csr_array, smoothing: float, negative: float) -> sparse.csr_array:
    """Weigh pairs by their pointwise mutual information, less the logarithm of `negative`, where that is positive."""
    return positive_pmi(pairs, smoothing, negative)


@helix_task
def embed(weights: sparse.csr_array, vocabulary: pd.Series, dimensions: int, seed: int) -> pd.DataFrame:
    """Give each word a vector: the leading singular vectors, scaled by the roots of their values."""
    dimensions = min(dimensions, len(vocabulary))
    left, values, _ = randomized_svd(weights, dimensions, n_iter=4, random_state=seed)
    return pd.DataFrame((left * np.sqrt(values)).astype(np.float32), index=pd.Index(vocabulary))


@helix_task
def join(mentions: pd.DataFrame, tokens: pd.DataFrame, vectors: pd.DataFrame, rarest: int) -> pd.DataFrame:
    """Give each gene that is mentioned `rarest` times or more the mean vector of the words that mention it."""
    lengths = (mentions["stop"] - mentions["start"]).to_numpy()
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    positions = np.repeat(mentions["start"].to_numpy(), lengths) + np.arange(lengths.sum()) - first
    named = pd.DataFrame({"name": np.repeat(mentions["name"].to_numpy(), lengths)}).astype({"name": "str"})
    named["word"] = vectors.index.get_indexer(tokens["word"].iloc[positions])
    often = mentions["name"].value_counts()
    named = named[(named["word"] >= 0) & named["name"].isin(often.index[often >= rarest])]
    genes = sorted(named["name"].unique())
    rows = pd.Index(genes).get_indexer(named["name"])
    weights = sparse.csr_array((np.ones(len(named)), (rows, named["word"])), (len(genes), len(vectors)))
    return pd.DataFrame(unit_rows(weights @ vectors.to_numpy(dtype=np.float64)), index=pd.Index(genes, dtype="str"))


@helix_task
def cluster(genes: pd.DataFrame, clusters: int, restarts: int, seed: int) -> pd.Series:
    """Part the genes into clusters by k-means on the sphere, the best of so many restarts."""
    clusters = min(clusters, len(genes))
    means = KMeans(clusters, n_init=restarts, random_state=seed).fit(genes.to_numpy())
    return pd.Series(means.labels_.astype(np.int64), index=genes.index)


@helix_task
def assess(genes: pd.DataFrame, clusters: pd.Series, mentions: pd.DataFrame) -> dict[str, float]:
    """Tell how good the clusters are: how apart they are, and how much oftener genes of one cluster share a document.

    Lift is the mean number of documents that two genes of one cluster share, over that of any two genes.
    """
    points, labels = genes.to_numpy(), clusters.to_numpy()
    shared = shared_documents(mentions, genes.index)
    together = labels[:, np.newaxis] == labels
    apart = ~np.eye(len(labels), dtype=bool)
    return {
        "silhouette": float(silhouette_score(points, labels, metric="cosine")),
        "davies_bouldin": float(davies_bouldin_score(points, labels)),
        "lift": float(shared[together & apart].mean() / shared[apart].mean()),
        "genes": float(len(genes)),
    }


@helix_task
def describe(genes: pd.DataFrame, clusters: pd.Series, members: int) -> dict[int, list[str]]:
    """Name the genes of each cluster that are nearest to its centre, the nearest first."""
    described = {}
    for number, group in genes.groupby(clusters.to_numpy()):
        nearness = group.to_numpy() @ group.to_numpy().mean(axis=0)
        described[int(number)] = group.index[np.argsort(-nearness, kind="stable")[:members]].tolist()
    return described


def locate(data: str | None) -> Source:
    """Find texts and lexicon: in the folders `genomics_*` of the folder named, else those that packages have.

    Raises:
        FileNotFoundError: If the folder named lacks one of the files.
        ModuleNotFoundError: If no folder is named and `gensim` or `tzdata` is not installed.
    """
    if root := data_root(data):
        names = {"genomics_craft": ("craft_articles_txt.tar.xz",), "genomics_genes": ("symbols-human.tsv.gz",)}
        names["genomics_bc2gm"] = ("train.tsv.gz", "devel.tsv.gz", "test.tsv.gz")
        found = {folder: find(root, folder, files, "gensim") for folder, files in names.items()}
        return Source((*found["genomics_craft"], *found["genomics_bc2gm"]), *found["genomics_genes"])
    return Source(
        (packaged("gensim", "test/test_data/lee_background.cor", "genomics_craft and its like"),),
        packaged("tzdata", "zoneinfo/iso3166.tab", "genomics_genes"),
    )


@helix_flow
def genomics(
    data: str | None = None,
    window: PositiveInt = 5,
    rarest: PositiveInt = 5,
    shortest: PositiveInt = 3,
    smoothing: PositiveFloat = 0.75,
    negative: PositiveFloat = 1.0,
    dimensions: PositiveInt = 100,
    clusters: PositiveInt = 10,
    restarts: PositiveInt = 10,
    members: PositiveInt = 5,
    seed: int = 0,
    repeat: PositiveInt = 1,
) -> dict[str, Any]:
    """Find groups of genes by the company that their names keep.

    Args:
        data: Folder or URL with the folders `genomics_craft`, `genomics_bc2gm` and `genomics_genes`; else `HELIX_DATA`,
            else news and countries.
        window: How far apart two words may be to be in company.
        rarest: How often a word, and a gene, must occur.
        shortest: How many letters a name must have.
        smoothing: Power to which the frequency of a neighbour is raised.
        negative: Number of negative samples that skip-gram would draw for each pair.
        dimensions: Length of the vectors.
        clusters: Number of clusters.
        restarts: How often k-means starts anew.
        members: How many genes of each cluster are named.
        seed: From where all that is random is drawn.
        repeat: How often each text is repeated.
    """
    source = locate(data)
    tokens = tokenise([read_texts(File(file)) for file in source.texts], repeat)
    mentions = find_mentions(tokens, read_lexicon(File(source.lexicon)), shortest)
    pairs, vocabulary = count(tokens, window, rarest)
    vectors = embed(weigh(pairs, smoothing, negative), vocabulary, dimensions, seed)
    genes = join(mentions, tokens, vectors, rarest)
    labels = cluster(genes, clusters, restarts, seed)
    return {"quality": assess(genes, labels, mentions), "clusters": describe(genes, labels, members)}


def main() -> None:
    """Run the flow with the options of the command line; print the quality of the clusters, and who is in them."""
    parser = argparse.ArgumentParser(description="Find groups of genes by what is written about them.")
    add = parser.add_argument_group("workload").add_argument
    add("--data", metavar="FOLDER", help="where articles and genes are (else HELIX_DATA, else news and countries)")
    add("--window", type=int, default=5, help="how far apart two words in company are (%(default)s)")
    add("--rarest", type=int, default=5, help="how often a word, and a gene, must occur (%(default)s)")
    add("--shortest", type=int, default=3, help="how many letters a name must have (%(default)s)")
    add("--smoothing", type=float, default=0.75, help="power of a neighbour's frequency (%(default)s)")
    add("--negative", type=float, default=1.0, help="negative samples for each pair (%(default)s)")
    add("--dimensions", type=int, default=100, help="length of the vectors (%(default)s)")
    add("--clusters", type=int, default=10, help="number of clusters (%(default)s)")
    add("--restarts", type=int, default=10, help="how often k-means starts anew (%(default)s)")
    add("--members", type=int, default=5, help="how many genes of each cluster are named (%(default)s)")
    add("--seed", type=int, default=0, help="from where all that is random is drawn (%(default)s)")
    add("--repeat", type=int, default=1, metavar="N", help="repeat each text N times (%(default)s)")
    result = run(genomics.fn, parser)
    for name, value in result["quality"].items():
        print(f"{name:>15}  {value:.6g}")
    for number, names in result["clusters"].items():
        print(f"{f'cluster {number}':>15}  {', '.join(names)}")


if __name__ == "__main__":
    main()
