"""Labelling whole archives: `yolo9000 label SOURCE --output DIR`.

The source is listed and cut into *shards* of some hundred pictures, once; the list is kept in the output folder.
A shard is the unit of work and of commitment: whoever labels it (a process of this machine's pool, or of a Ray
cluster) writes its results under temporary names and renames them, so a shard that is there is whole and done.

    listing      the source in an order that never changes, cut into shards
    reading      a shard's pictures, one after the other (from `model.archives`)
    labeller     one shard: read, decode, network, walk, write
    pool, on_ray    many shards
    manifest     what a folder was begun with
    results      failures.jsonl
    formats      COCO, YOLO, VOC, Label Studio, CVAT
    run          all of it
"""
