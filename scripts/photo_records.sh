# Sourced by the scripts on photos, after environment.sh.

# photo_records SET FOLDER: makes records/SET from the photos. SET is cub10 (a folder in the layout of CUB-200-2011:
# images.txt, bounding_boxes.txt, ...) or animals (a folder per class, boxes.csv, contours.json).
photo_records() {
  local source
  case $1 in
    cub10) source=cub ;;
    animals) source=folder ;;
    *) echo "error: $1: unknown set of photos; give cub10 or animals" >&2; exit 2 ;;
  esac
  "$PYTHON" -m tfrecords.build --source="$source" --input="$2" --output="records/$1" --holdout=0.15 \
    --store=resized --short_side=256
}
