# inspect, convert, version, and how calls that cannot be understood end.

expect 0 'SUBCOMMANDS' --help
expect 0 '^usp [0-9.]* .* threads$' version
expect 2 'unknown command "nonsense"' nonsense
expect 2 "Missing expected argument '<file>'" inspect
expect 2 "--output <output>" convert "$golden/containers/training.pth"
expect 1 'nofile: cannot open' inspect "$work/nofile"

expect 0 'table ema *2 arrays, 33 elements, 132 B, f32' inspect "$golden/containers/training.pth"
expect 0 'pathlib.PosixPath is not read' inspect "$golden/containers/training.pth"
expect 0 '"dtype": "f32"' inspect "$golden/containers/training.pth" --json --table model
expect 1 "no table 'none'; there is 'model'" inspect "$golden/containers/training.pth" --table none
expect 0 '^format *npz' inspect "$golden/containers/arrays.npz" --summary

input="$golden/containers/training.pth"
expect 0 'writing the table ema; also there: model' convert "$input" -o "$work/a.safetensors"
expect 0 '2 arrays, 132 B' convert "$work/a.safetensors" -o "$work/a.pt"
expect 0 '2 arrays' convert "$work/a.pt" -o "$work/b.npz"
expect 0 '2 arrays' convert "$work/b.npz" -o "$work/b.safetensors"
same "$work/a.safetensors" "$work/b.safetensors"
expect 0 '2 arrays, 66 B' convert "$input" --table model --dtype f16 -o "$work/h.safetensors"
expect 0 'f16' inspect "$work/h.safetensors"
expect 0 '9 arrays' convert "$input" --table all -o "$work/all.safetensors"
expect 0 '^ema.blocks.0.norm1.weight' inspect "$work/all.safetensors"
expect 1 'NumPy has no bf16' convert "$input" --dtype bf16 -o "$work/c.npz"
absent "$work/c.npz"
expect 1 'the ending names the format' convert "$input" -o "$work/c.xyz"
expect 1 'npy holds one array' convert "$input" -o "$work/c.npy"
expect 1 'cannot write' convert "$input" -o "$work/no/folder/c.pt"
expect 2 'dtype' convert "$input" -o "$work/c.pt" --dtype f8

odd="$golden/odd"
expect 0 'f16 (F8_E4M3 in the file)' inspect "$odd/float8.safetensors"
expect 0 '2 arrays, 1.0 kB' convert "$odd/float8.safetensors" -o "$work/f8.safetensors"
expect 1 '13 arrays cannot be read and would be lost; --skip' convert "$odd/types.npz" \
    -o "$work/types.safetensors"
absent "$work/types.safetensors"
expect 0 'u2 is left out: element type uint16 is not read' convert "$odd/types.npz" --skip \
    -o "$work/types.safetensors"
expect 0 '8 arrays' convert "$odd/numpy_2.pt" --table model --skip -o "$work/numpy.safetensors"
expect 1 'state_dict()' inspect "$odd/module.pt"
expect 1 'net: a whole' convert "$odd/module_inside.pt" --table all -o "$work/m.safetensors"
expect 0 'not read (11)' inspect "$odd/tensors.pt"
printf '<!doctype html>' >"$work/page.ckpt"
expect 1 "a web page ('<!doctype html>'); the download went wrong" inspect "$work/page.ckpt"

vae="$golden/models/vae_params.safetensors"
expect 0 'from the names of CompVis' convert "$vae" --dialect diffusers -o "$work/vae.safetensors"
expect 0 'encoder.mid_block.attentions.0.to_q.weight *f16 *64 x 64' inspect "$work/vae.safetensors"
expect 0 'from the names of diffusers autoencoder' convert "$work/vae.safetensors" \
    --dialect official -o "$work/again.safetensors"
expect 0 'encoder.mid.attn_1.q.weight *f16 *64 x 64 x 1 x 1' inspect "$work/again.safetensors"
expect 0 '' convert "$golden/models/dit_affine_params.safetensors" --dialect training \
    -o "$work/t.pt"
expect 0 'table ema' inspect "$work/t.pt"
expect 1 'no affine norms' convert "$work/t.pt" --dialect diffusers -o "$work/d.safetensors"
expect 1 'write .pt or .pth' convert "$work/t.pt" --dialect training -o "$work/d.safetensors"
absent "$work/d.safetensors"
# What names and shapes of a layout do not tell goes with the file, or the file is refused.
dit="$golden/models/dit_diffusers_params.safetensors"
expect 0 'only usp.config says epsilon 1e-05 (readers take 1e-06), attention_epsilon 1e-06' \
    convert "$dit" --dialect official -o "$work/dit.safetensors"
expect 0 'usp.config: .*epsilon=1e-05 .*frequency_shift=1' inspect "$work/dit.safetensors"
expect 1 'the layout does not say the model.s epsilon 1e-05' \
    convert "$dit" --dialect official -o "$work/dit.npz"
expect 1 'has no place for the model.s epsilon 1e-05' \
    convert "$work/dit.safetensors" -o "$work/dit.npz"
absent "$work/dit.npz"
head -c 300 "$input" >"$work/cut.pth"
expect 1 'cut.pth' inspect "$work/cut.pth"

# A result that cannot be told is an error.
checks=$((checks + 1))
if "$tool" inspect "$input" >/dev/full 2>"$work/said" ||
    ! grep -q 'standard output: cannot write' "$work/said"; then
    failures=$((failures + 1))
    echo "FAILED: inspect to a full device"
fi

# A checksum of each array, on demand, and verified.
expect 0 '' convert "$work/h.safetensors" --checksums -o "$work/sealed.safetensors"
expect 0 '' convert "$work/sealed.safetensors" -o "$work/opened.npz"
printf '\377' | dd of="$work/sealed.safetensors" bs=1 conv=notrunc \
    seek=$(($(wc -c <"$work/sealed.safetensors") - 3)) 2>/dev/null
expect 1 'its checksum (CRC-32) differs: the file is damaged' convert "$work/sealed.safetensors" \
    -o "$work/opened.npz"
