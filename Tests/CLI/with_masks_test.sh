# segment and predict-masks: pairs of images and masks, to the end, interrupted, and refused.

pairs="$work/pairs"
mkdir -p "$pairs/images" "$pairs/val"
for image in 0 1 2 3; do cp "$work/s-000$image.png" "$pairs/images/$image.png"; done
cp "$work/s-0004.png" "$pairs/val/a.png"

# mask FILE: a grey image of the classes 0, 1 and 2 and of pixels without a class.
mask() {
    printf 'P5\n56 56\n255\n' >"$1"
    for value in 0 1 2 377; do head -c 784 /dev/zero | tr '\0' "\\$value"; done >>"$1"
}
mkdir "$pairs/masks"
for image in 0 1 2 3; do mask "$pairs/masks/$image.pgm"; done

"$tool" transfer "$work/pretrained.safetensors" --to Segmenter --head linear --classes 3 --seed 2 \
    -o "$work/net.safetensors" >"$work/said" 2>&1
predict="predict-masks $work/net.safetensors --vae $vae"
expect 0 'pairs/other: 4 masks' $predict "$pairs/images" --no-overlay -o "$pairs/other"
expect 0 'pairs/looks/new: 1 masks' $predict "$pairs/val" -o "$pairs/looks/new"
holds "$pairs/looks/new/a-overlay.png" 'IEND'
mkdir "$pairs/val-masks"
cp "$pairs/looks/new/a.png" "$pairs/val-masks/a.png"

segment="segment $pairs/images $pairs/masks --vae $vae --from $work/pretrained.safetensors --batch 2 --threads 1"
measured="--classes 3 --val-images $pairs/val --val-masks $pairs/val-masks"
continues 20 $segment $measured --head linear --steps 20
continues 6 $segment $measured --head-channels 8 --steps 6
holds "$work/cut-log.jsonl" '"miou":'
expect 0 'classes 3, head upernet, head_channels 8' inspect "$work/cut.safetensors" --summary
expect 0 '3 steps, miou .* %' $segment $measured --steps 3 --relative-positions --size 48 --head-channels 8 \
    -o "$work/seg.safetensors"
expect 0 '1 masks' predict-masks "$work/seg.safetensors" "$pairs/val/a.png" --vae "$vae" -o "$work/seen-masks"
expect 1 'takes latents of 4 channels: give --vae' predict-masks "$work/seg.safetensors" "$pairs/val" \
    -o "$work/seen-masks"
expect 1 'another image is called a too' predict-masks "$work/seg.safetensors" "$pairs/val" "$pairs/val/a.png" \
    --vae "$vae" -o "$work/seen-masks"
expect 1 'is not a folder' $predict "$pairs/val" -o "$pairs/val/a.png"
expect 1 'val/a.png: is one of the images to read; write into another folder' $predict "$pairs/val" -o "$pairs/val"
expect 0 '1 masks' $predict "$pairs/val" --dtype int8 -o "$work/seen-masks"
head -c 60 "$pairs/val/a.png" >"$pairs/torn.png"
expect 1 '^usp: .*torn.png: PNG' $predict "$pairs/torn.png" "$pairs/val" -o "$work/seen-masks"
expect 0 'left out .*torn.png: PNG' $predict "$pairs/torn.png" "$pairs/val" --skip-unreadable \
    -o "$work/seen-masks"

# What cannot be learned from.
fresh="$segment --steps 2 --head-channels 8 -o $work/no.safetensors --restart"
expect 1 'pixels have the label [12], expected 0 to 0, or 255' $fresh --classes 1
expect 1 'batch of 1' $fresh --classes 3 --batch 1
expect 2 'expected upernet or linear' $fresh --classes 3 --head nowhere
expect 2 'one needs the other' $fresh --classes 3 --val-images "$pairs/val"
expect 2 'has no part in a linear head' $fresh --classes 3 --head linear
cp "$pairs/images/0.png" "$pairs/images/alone.png"
expect 1 'images without a mask in .*masks: 1 (alone.png)' $fresh --classes 3
cp "$pairs/images/0.png" "$pairs/masks/alone.png"
expect 1 'masks/alone.png: .*expected indices of classes' $fresh --classes 3
cp "$pairs/other/0.png" "$pairs/masks/alone.png"
expect 0 '2 steps' $fresh --classes 3
absent "$work/no-run.lock"

# Masks that are others now, under their names: a run knows, and one that cannot be read is replaced if that
# is wanted.
head -c 60 "$pairs/images/0.png" >"$pairs/images/alone.png"
expect 1 'alone.png: PNG: .*; with skip_unreadable another image with its mask' $segment --classes 3 --steps 4 \
    --head linear -o "$work/no.safetensors" --restart
expect 0 'alone.png: PNG: .*; another image with its mask is in its place' $segment --classes 3 --steps 4 \
    --head-channels 8 --skip-unreadable -o "$work/no.safetensors" --restart
rm "$pairs/images/alone.png" "$pairs/masks/alone.png"
for head in linear upernet; do
    options="$segment --classes 3 --head $head -o $work/masked.safetensors"
    expect 0 '4 steps' $options --steps 4 --restart
    printf '\0\0\0' | dd of="$pairs/masks/1.pgm" bs=1 seek=3000 conv=notrunc 2>/dev/null
    expect 1 'an earlier run saw other images: in .* mask 1.pgm has changed; put them back' $options --steps 4
    mask "$pairs/masks/1.pgm"
    expect 0 'all 4 steps are done already' $options --steps 4
done
