# What commands say of the weights that they load: which of several, what is assumed, what does not fit.

vae="$golden/models/vae_params.safetensors"
"$tool" transfer "$golden/transfer/checkpoint-3.pth" --to SiT --heads 2 --classes 10 \
    -o "$work/w.safetensors" >"$work/said" 2>&1

# named OUT NAMES [MORE]: the model's arrays in a file without texts, once behind each of the names, and
# empty ones of more names.
named() {
    python3 - "$work/w.safetensors" "$work/$1.safetensors" "$2" "${3:-}" <<'MAKE'
import json, struct, sys
source, target, prefixes, more = sys.argv[1:]
data = open(source, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
arrays = json.loads(data[8:8 + size])
arrays.pop("__metadata__", None)
result, body = {}, b""
for prefix in prefixes.split(","):
    for name, array in arrays.items():
        start, end = array["data_offsets"]
        prefixed = name.replace("blocks.0.", f"blocks.0.{prefix[1:]}.") if prefix[:1] == "/" else prefix + name
        result[prefixed] = {**array, "data_offsets": [len(body), len(body) + end - start]}
        body += data[8 + size + start:8 + size + end]
for name in filter(None, more.split(",")):
    result[name] = {"dtype": "F32", "shape": [2], "data_offsets": [len(body), len(body) + 8]}
    body += bytes(8)
head = json.dumps(result).encode()
open(target, "wb").write(struct.pack("<Q", len(head)) + head + body)
MAKE
}
draw() {
    wanted=$1 pattern=$2 file=$3
    shift 3
    expect "$wanted" "$pattern" sample "$work/$file.safetensors" --family SiT --heads 2 --vae "$vae" \
        --classes 1 --steps 3 -o "$work/w.png" "$@"
}
named both model.,ema.
draw 0 'note: .*takes the averaged weights, table ema; also there: model' both
draw 0 '1 images of' both --table model
expect 0 '"choice"\|takes the averaged' inspect "$work/both.safetensors" --json
expect 0 'takes the averaged weights, table ema' convert "$work/both.safetensors" \
    --dialect official -o "$work/c.safetensors"
expect 0 'takes the averaged weights, table ema' transfer "$work/both.safetensors" --to DiT --heads 2 \
    -o "$work/c.safetensors"
named alike a.,b.
draw 1 '^  --table b (diffusion transformer, ' alike
draw 0 '1 images of' alike --table b
expect 0 'say which by table' inspect "$work/alike.safetensors"
named compiled /_orig_mod
draw 0 '1 images of' compiled

named more '' extra.weight,extra.bias
draw 1 'unexpected 2: extra.weight, extra.bias; ignore leaves' more
draw 0 '1 images of' more --ignore extra
draw 1 'nothing in .* is called extras; did you mean extra' more --ignore extras
draw 0 'note: .*does not fit, and was loaded all the same: unexpected 2' more --no-strict
expect 1 'no name in another layout for extra' convert "$work/more.safetensors" --dialect diffusers \
    -o "$work/c.safetensors"
expect 0 'extra.weight stays behind: left aside, as asked' convert "$work/more.safetensors" \
    --dialect official --ignore extra -o "$work/c.safetensors"
expect 0 'extra.weight *left aside, as asked' transfer "$work/more.safetensors" --to DiT --heads 2 \
    --ignore extra --plan

# 11 rows of labels: ten classes and none, unless somebody says otherwise.
named bare ''
draw 0 'note: .*assumes 10 classes and a null class: by the 11 rows' bare
draw 1 'no null class to guide away from; give --cfg 1' bare --no-null-class
draw 0 '1 images of' bare --no-null-class --cfg 1

# The scale of an autoencoder that does not tell it is said, may be given, and is in what is written.
draw 0 'note: .*assumes latent scale 0.18215: .*SDXL.s is 0.13025' bare
draw 0 '1 images of' bare --vae-scale 0.5
holds "$work/w.png" '"latent_scale":\[0.5'
photo="$golden/images/jpeg_444.jpg"
expect 0 'assumes latent scale 0.18215' encode "$photo" --vae "$vae" -o "$work/e.safetensors"
expect 0 'usp.scale: 0.18215' inspect "$work/e.safetensors"
expect 0 'assumes latent scale 0.18215' decode "$work/e.safetensors" --vae "$vae" -o "$work/e.png"
expect 1 'latents of scale 0.18215, the autoencoder .* has 0.5; give --vae-scale' \
    decode "$work/e.safetensors" --vae "$vae" --vae-scale 0.5 -o "$work/e.png"
expect 0 'assumes latent scale' convert "$vae" --dialect diffusers -o "$work/c.safetensors"
expect 0 'scale=0.18215' inspect "$work/c.safetensors"

# The same of what a run starts from, of autoencoders, and of networks for masks.
named starts a.,b. a.extra.weight
begun="train $photos --vae $vae --size 56 --batch 2 --steps 1 --heads 2 -o $work/begun.safetensors"
begun="$begun --from $work/starts.safetensors --restart"
expect 1 '^  --table b (diffusion transformer, ' $begun
expect 1 'unexpected 1: extra.weight' $begun --table a
expect 0 '1 steps' $begun --table a --ignore extra
expect 0 'was loaded all the same: unexpected 1: extra.weight' $begun --table a --no-strict
expect 2 'have a part beside --from only' $pretrain --ignore head -o "$work/begun.safetensors"
cp "$vae" "$work/w.safetensors"
named vaes a.,b. a.extra
seen="encode $photo --vae $work/vaes.safetensors -o $work/e.npz"
expect 1 'beside a model --vae-table' $seen
expect 1 'unexpected 1: extra' $seen --vae-table a
expect 0 'e.npz: latents' $seen --vae-table a --vae-ignore extra
expect 0 'was loaded all the same: unexpected 1: extra' $seen --vae-table a --no-vae-strict
expect 0 '' encode "$work/e.npz" --statistics -o "$work/statistics.pt"
seen="convert $work/vaes.safetensors --statistics $work/statistics.pt -o $work/n.safetensors"
expect 1 'unexpected 1: extra' $seen --table a
expect 0 'statistics of 4 channels' $seen --table a --ignore extra
named averaged model.,ema.
expect 0 'note: .*takes the averaged weights, table ema' convert "$work/averaged.safetensors" \
    --statistics "$work/statistics.pt" -o "$work/n.safetensors"
expect 1 'ignore has a part beside --dialect and --statistics only' \
    convert "$vae" --ignore extra -o "$work/n.safetensors"
"$tool" transfer "$golden/transfer/checkpoint-3.pth" --to Segmenter --head linear --heads 2 \
    --classes 3 -o "$work/w.safetensors" >"$work/said" 2>&1
named masks a.,b. a.extra
masks="predict-masks $work/masks.safetensors $photo --heads 2 --vae $vae -o $work/masks --no-overlay"
expect 1 '^  --table b (segmentation network, ' $masks
expect 1 'unexpected 1: extra' $masks --table a
expect 0 'assumes latent scale 0.18215' $masks --table a --ignore extra
expect 0 'was loaded all the same: unexpected 1: extra' $masks --table a --no-strict
