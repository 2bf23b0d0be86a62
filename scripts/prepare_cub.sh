#!/usr/bin/env bash
# CUB-200-2011 archives -> TFRecords (11,788 pictures: 5,994 train, 5,794 test).
#
#   bash scripts/prepare_cub.sh [FOLDER [OUTPUT [builder flags]]]
#   bash scripts/prepare_cub.sh dataset records/cub --holdout=0.1 --store=resized
#
# FOLDER (default: dataset) holds CUB_200_2011.tgz and, for masks, segmentations.tgz; both are unpacked there.
set -euo pipefail
source "$(dirname "$0")/environment.sh"

folder=${1:-dataset}
output=${2:-records/cub}
shift $(($# < 2 ? $# : 2))

if [[ ! -d $folder/CUB_200_2011 && ! -f $folder/CUB_200_2011.tgz ]]; then
    cat >&2 <<MESSAGE
error: $folder/CUB_200_2011.tgz: not found. Download by hand (1.2 GB):
  mkdir -p $folder
  curl -L -o $folder/CUB_200_2011.tgz 'https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1'
and, where masks are wanted (40 MB):
  curl -L -o $folder/segmentations.tgz 'https://data.caltech.edu/records/w9d68-gec53/files/segmentations.tgz?download=1'
MESSAGE
    exit 2
fi

# Unpacked under another name first, so that an interrupted run leaves no half folder.
unpack() {
    local archive=$1 name=$2 partial
    if [[ -f $folder/$archive && ! -d $folder/$name ]]; then
        echo "unpacking $folder/$archive"
        partial=$(mktemp -d "$folder/.unpack-XXXXXX")
        if ! tar -xzf "$folder/$archive" -C "$partial" "$name"; then
            rm -rf "$partial"
            echo "error: $folder/$archive: cannot be unpacked; is the download complete?" >&2
            exit 2
        fi
        mv "$partial/$name" "$folder/$name"
        rm -rf "$partial"
    fi
}
unpack CUB_200_2011.tgz CUB_200_2011
unpack segmentations.tgz segmentations

environment ""
exec "$PYTHON" -m tfrecords.build --source=cub --input="$folder/CUB_200_2011" --output="$output" \
    --expect_counts=train:5994,test:5794 "$@"
