# sample, encode, decode: on a small transferred model and a small autoencoder.

vae="$golden/models/vae_params.safetensors"
expect 0 'come from' transfer "$golden/transfer/checkpoint-3.pth" --to SiT --heads 2 --classes 10 \
    -o "$work/sit.safetensors"
expect 0 'come from' transfer "$golden/transfer/checkpoint-3.pth" --to DiT --heads 2 --classes 10 \
    -o "$work/dit.safetensors"

expect 0 '5 images of 56 x 56' sample "$work/sit.safetensors" --vae "$vae" --classes 1,2 --num 5 \
    --steps 4 --solver heun --batch 2 -o "$work/s.png"
expect 0 'arr_0 *u8 *5 x 56 x 56 x 3' inspect "$work/s.npz"
for solver in ddpm ddim dpm++ dpm++sde; do
    expect 0 '3 images' sample "$work/dit.safetensors" --vae "$vae" --classes 1,2,3 --steps 4 \
        --solver $solver --batch 1 -o "$work/one.png"
    expect 0 '3 images' sample "$work/dit.safetensors" --vae "$vae" --classes 1,2,3 --steps 4 \
        --solver $solver --batch 3 -o "$work/three.png"
    same "$work/one.npz" "$work/three.npz"
done
expect 0 '2 images' sample "$work/sit.safetensors" --vae "$vae" --classes 1,2 --steps 4 \
    --solver sde -o "$work/sde.png"
checks=$((checks + 1))
grep -q '"solver": "sde"' "$work/sde.json" || { failures=$((failures + 1)); echo "FAILED: no protocol"; }

expect 1 'class 11: the model has 0 to 9' sample "$work/sit.safetensors" --vae "$vae" \
    --classes 11 --steps 2 -o "$work/x.png"
expect 1 'did you mean "ddim"' sample "$work/dit.safetensors" --vae "$vae" --classes 1 \
    --steps 2 --solver ddin -o "$work/x.png"
expect 2 'expected numbers' sample "$work/sit.safetensors" --vae "$vae" --classes cat -o "$work/x.png"
absent "$work/x.png"

expect 0 'latents \[2, 4, 14, 14\]' encode "$work/s-0000.png" "$work/s-0001.png" --vae "$vae" \
    -o "$work/latents.safetensors"
expect 0 '2 images' decode "$work/latents.safetensors" --vae "$vae" -o "$work/again.png"
expect 0 'latents \[1, 4, 14, 14\]' encode "$work/again-0001.png" --vae "$vae" -o "$work/l.npz"
expect 1 'neither a PNG nor a JPEG' encode "$vae" --vae "$vae" -o "$work/l.npz"
