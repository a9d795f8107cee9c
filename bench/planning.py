"""What 10 million cells as sentences and 338 million embedded cells would take, from measured rates."""

CELLXGENE_CELLS, CELLXGENE_COLLECTIONS = 10_000_000, 331
SCPRINT_CELLS = 338_000_000
PART_BYTES = 940  # of a cell: 424 columns, 23 labels, 23 scores, two bytes each
WORKER_CORES = 2  # of the machine on which the rates were measured
CLUSTER_CORES = 64
DISK = 500e6  # bytes a second that a file system gives to all workers together


def tell(rows: list[dict]) -> str:
    """Return the two plans as Markdown, each number with its arithmetic.

    Parameters
    ----------
    rows
        Measurements of `growth.measure_all`; the largest of each work counts.
    """
    largest = {row["work"]: row for row in rows}
    return "\n\n".join([_sentences(largest["sentences"]), _survey(largest["survey"])])


def _sentences(row: dict) -> str:
    rate = row["cells"] / row["seconds"]
    cells, shards = CELLXGENE_CELLS, CELLXGENE_COLLECTIONS
    read, written = 8 * row["values"] / row["cells"], row["bytes"] / row["cells"]
    cores = cells / rate * WORKER_CORES / 3600
    lines = [
        f"**{cells:,} cells of {shards} CELLxGENE collections as sentences.**",
        f"- Measured: {row['cells']:,} cells in {row['seconds']:.1f} s on {WORKER_CORES} cores = {rate:,.0f} cells/s; "
        f"{read:,.0f} bytes a cell stored as CSR, {written:,.0f} bytes a cell of Parquet written.",
        f"- Bytes: read {cells:,} x {read:,.0f} = {cells * read / 1e9:,.0f} GB, written {cells:,} x {written:,.0f} = "
        f"{cells * written / 1e9:,.0f} GB.",
        f"- Processor: {cells:,} / {rate:,.0f} x {WORKER_CORES} / 3600 = {cores:.1f} core-hours; on this machine "
        f"{cells / rate / 60:.0f} min, on {CLUSTER_CORES} cores {cores / CLUSTER_CORES * 60:.1f} min.",
        f"- Disk at {DISK / 1e6:.0f} MB/s: {cells * (read + written) / DISK / 60:.0f} min, whatever the number of cores.",
        "- Memory: files are read in blocks, so a worker needs what `bench/sentences.py` shows (under 1 GB) whatever the "
        "number of cells. The split over donors is decided once, over the cell tables of all files.",
        "- Command: `musclebook sentences collections/*.h5ad sentences --top-n 2000 --cluster tcp://SCHEDULER:8786` "
        "(each file is a data set; run again after an interruption, it goes on).",
    ]
    return "\n".join([lines[0], "", *lines[1:]])


def _survey(row: dict) -> str:
    rate = row["cells"] / row["seconds"]
    cells = SCPRINT_CELLS
    cores = cells / rate / 3600
    lines = [
        f"**{cells:,} embedded cells surveyed.**",
        f"- Measured: {row['cells']:,} cells in {row['seconds']:.1f} s on one core, files in memory = {rate:,.0f} cells/s.",
        f"- Bytes: {cells:,} x {PART_BYTES} = {cells * PART_BYTES / 1e9:,.0f} GB read once; 100 bytes a cell kept.",
        f"- Processor: {cells:,} / {rate:,.0f} / 3600 = {cores * 60:.1f} core-minutes.",
        f"- Disk at {DISK / 1e6:.0f} MB/s: {cells * PART_BYTES / DISK / 60:.0f} min: the disk decides, not the processor. With "
        "the parts on the disks of eight machines, an eighth of it.",
        f"- Memory: {row['peak'] / 2**20:.0f} MiB a worker, whatever the number of parts (parts are merged as they finish).",
        "- Command: `musclebook scprint survey parts tables --cluster tcp://SCHEDULER:8786`; a second survey reads only new "
        "parts.",
    ]
    return "\n".join([lines[0], "", *lines[1:]])
