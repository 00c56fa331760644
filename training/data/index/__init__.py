"""The index of large sets: built once, checked once, and mapped by every process of every run from then on.

stamps     what tells that a set has changed
parts      reading a set part by part: in parallel, with progress, and resumable
file       the files of an index
labels     sets with a folder of pictures for each class
boxes      sets with boxes
shards     sets in tar archives or Parquet files
archives   reading one of those into columns
sets       reading a set, from an index or by itself
"""
