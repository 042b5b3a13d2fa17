# sample, invert, encode, decode: on a small transferred model and a small autoencoder.

vae="$golden/models/vae_params.safetensors"
expect 0 'come from' transfer "$golden/transfer/checkpoint-3.pth" --to SiT --heads 2 --classes 10 \
    -o "$work/sit.safetensors"
expect 0 'come from' transfer "$golden/transfer/checkpoint-3.pth" --to DiT --heads 2 --classes 10 \
    -o "$work/dit.safetensors"
sit="$work/sit.safetensors" dit="$work/dit.safetensors"
# Labels of a transfer are fresh, which guidance refuses unless it is told to use them.
expect 1 'null class was never trained (its labels are a transfer' sample "$sit" --vae "$vae" --classes 1 \
    --steps 3 -o "$work/s.png"

# holds FILE TEXT: the file has the text in it.
holds() {
    checks=$((checks + 1))
    grep -a -q -e "$2" "$1" || { failures=$((failures + 1)); echo "FAILED: $1 lacks $2"; }
}

# The files of a run, and its protocol in the PNGs' text and in the JSON.
expect 0 '5 images of 56 x 56' sample "$sit" --null-class --vae "$vae" --classes 1,2 --num 5 \
    --steps 4 --solver heun --batch 2 --preview 1 --cfg 1,2.5 --cfg-channels all \
    --cfg-interval 0.1,0.9 --shift 0.5 -o "$work/s.png"
expect 0 'arr_0 *u8 *5 x 56 x 56 x 3' inspect "$work/s.npz"
for text in '"solver":"heun"' '"timestep_shift":0.5' '"cfg":\[1.0,2.5\]' '"cfg_channels":4' \
    '"latent_scale":\[0.18215' '"generator":"counter"' '"labels":\[1,2,1,2,1\]'; do
    holds "$work/s.png" "$text"
done
holds "$work/s-0003.png" '"image":3,"label":2'
holds "$work/s.json" '"evaluations": 6'
holds "$work/s.json" '"images_per_second"'
holds "$work/s-preview.png" 'IEND'

# A sample is the same in a batch of any size, whatever draws its noise.
alike() {
    expect 0 '3 images' sample "$@" --vae "$vae" --classes 1,2,3 --steps 4 --cfg 2,3,4 --batch 1 \
        -o "$work/one.png"
    expect 0 '3 images' sample "$@" --vae "$vae" --classes 1,2,3 --steps 4 --cfg 2,3,4 --batch 2 \
        -o "$work/two.png"
    same "$work/one.npz" "$work/two.npz"
}
for solver in ddpm ddim dpm++ dpm++sde; do alike "$dit" --null-class --solver $solver; done
for solver in euler midpoint heun heun3 rk4 adams-bashforth adams-bashforth3 sde sde-heun; do
    alike "$sit" --null-class --solver $solver
done
alike "$dit" --null-class --generator torch
alike "$sit" --null-class --solver sde --generator torch
alike "$dit" --null-class --solver ddim --steps 5 --eta 1 --generator torch-cuda
alike "$dit" --null-class --solver dpm++ --dtype bf16
alike "$sit" --null-class --solver heun --dtype int8
alike "$sit" --null-class --solver euler --reuse-interval 2 --reuse-order 1 --null-interval 3
alike "$dit" --null-class --solver ddim --reuse-interval 3
expect 0 '2 images' sample "$sit" --null-class --vae "$vae" --classes 1,2 --steps 4 --rtol 0.01 -o "$work/d.png"
holds "$work/d.json" '"solver": "dopri5"'
expect 0 'note: starts at t = 0.001' sample "$sit" --null-class --vae "$vae" --classes 1,10 --steps 4 \
    --solver sde --form SBDM --norm 0.5 --last-step tweedie --last-step-size 0.02 \
    -o "$work/sde.png"
holds "$work/sde.json" '"last_step": "Tweedie"'
holds "$work/sde.json" 'starts at t = 0.001'
expect 0 '10 images' sample "$sit" --null-class --vae "$vae" --classes all --steps 2 --solver euler \
    -o "$work/a.png"
expect 0 '4 images' sample "$sit" --null-class --vae "$vae" --classes random --num 4 --steps 2 --solver euler \
    -o "$work/a.png"

# What is used again is no evaluation: two of four, and of guidance's halves one in four is left out.
expect 0 '1 image' sample "$sit" --null-class --vae "$vae" --classes 1 --steps 5 --solver euler --cfg 1 \
    --reuse-interval 2 -o "$work/r.png"
holds "$work/r.json" '"evaluations": 2\.0'
holds "$work/r.json" '"reuse_interval": 2'
expect 0 '1 image' sample "$sit" --null-class --vae "$vae" --classes 1 --steps 5 --solver euler --cfg 2 \
    --null-interval 2 -o "$work/r.png"
holds "$work/r.json" '"evaluations": 3\.0'
expect 0 '1 image' sample "$sit" --null-class --vae "$vae" --classes 1 --steps 5 --solver euler \
    --reuse-threshold 1000 -o "$work/r.png"
holds "$work/r.json" '"evaluations": 1\.0'

# Grids and previews are known where samples are read.
mkdir "$work/drawn"
expect 0 '5 images' sample "$sit" --null-class --vae "$vae" --classes 1 --num 5 --steps 3 --solver euler \
    --preview 1 -o "$work/drawn/s.png"
expect 0 'sFID *0\.0' evaluate "$work/drawn" "$work/drawn/s.npz" $weights --neighbours 1

# A signal between two steps: 130 or 143, and no file but whole ones.
interrupted="$work/interrupted"
ends_with() {
    rm -rf "$interrupted"
    mkdir "$interrupted"
    "$tool" sample "$dit" --null-class --vae "$vae" --classes 1 --num 16 --steps 1000 --preview 1 \
        -o "$interrupted/grid.png" >"$work/said" 2>&1 &
    process=$!
    waited=0
    while [ ! -e "$interrupted/grid-preview.png" ] && [ $waited -lt 600 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    kill -"$1" $process
    code=0
    wait $process || code=$?
    checks=$((checks + 1))
    if [ "$code" -ne "$2" ] || ! grep -q 'interrupted' "$work/said" ||
        [ "$(ls "$interrupted")" != grid-preview.png ]; then
        failures=$((failures + 1))
        echo "FAILED: SIG$1 ended with $code and left $(ls "$interrupted")"
    fi
}
ends_with INT 130
ends_with TERM 143

# What cannot be: labels, sizes, names with the known ones and the nearest.
small="--vae $vae --classes 1 -o $work/x.png"
expect 1 'class 11: the model has 0 to 9' sample "$sit" --null-class --vae "$vae" --classes 11 -o "$work/x.png"
expect 2 'expected numbers' sample "$sit" --null-class --vae "$vae" --classes cat -o "$work/x.png"
expect 2 'num: 9999999999, expected 1 to 10000000' sample "$dit" --null-class --vae "$vae" --classes 1 \
    --num 9999999999 -o "$work/x.png"
expect 2 'cfg-channels 9: expected 1 to 4, or all' sample "$dit" --null-class $small --cfg-channels 9
expect 2 'tile: -1, expected 0 or more' encode "$golden/images/grey.png" --vae "$vae" --tile=-1 \
    -o "$work/x.npz"
expect 2 'tile: -1, expected 0 or more' decode "$work/nofile" --vae "$vae" --tile=-1 \
    -o "$work/x.png"
expect 2 'steps: 0, expected 1 or more' sample "$dit" --null-class $small --steps 0
expect 1 'respacing' sample "$dit" --null-class $small --steps 1001
expect 1 'steps: expected 2 to 1000000' sample "$sit" --null-class $small --steps 1 --solver euler
expect 2 'cfg x: expected numbers' sample "$dit" --null-class $small --cfg x
expect 2 'expected LOW,HIGH' sample "$dit" --null-class $small --cfg-interval 3,1
expect 1 'known are ddpm, ddim, dpm++, dpm++sde; did you mean "ddim"' \
    sample "$dit" --null-class $small --solver ddin
expect 1 'sde-heun; did you mean "heun"' sample "$sit" --null-class $small --solver huen
expect 1 'did you mean "sigma"' sample "$sit" --null-class $small --solver sde --form sigmo
expect 1 'did you mean "Tweedie"' sample "$sit" --null-class $small --solver sde --last-step twedie
expect 1 'did you mean "GVP"' sample "$sit" --null-class $small --path GPV
expect 1 'did you mean "velocity"' sample "$sit" --null-class $small --prediction velocty
expect 1 'did you mean "cosine"' sample "$dit" --null-class $small --schedule cosin
expect 1 'did you mean "torch-cuda"' sample "$dit" --null-class $small --generator torch-cda
expect 1 'did you mean "bf16"' sample "$dit" --null-class $small --dtype bf61
expect 1 'known are f32, bf16, int8' sample "$dit" --null-class $small --dtype in
expect 1 'did you mean "SiT"' sample "$dit" --null-class $small --family Sit
expect 1 'eta: has no part in the solver dpm++, only in ddim' sample "$dit" --null-class $small --solver dpm++ --eta 1
expect 1 'form: has no part in the solver heun, only in sde, sde-heun' sample "$sit" --null-class $small --solver heun --form sigma
expect 1 'rtol: has no part in the solver euler, only in dopri5, bosh3' \
    sample "$sit" --null-class $small --solver euler --rtol 0.01
expect 1 'noise-schedule: has no part in the solver euler, only in ddpm, ddim' \
    sample "$sit" --null-class $small --solver euler --noise-schedule linear
expect 1 'null_interval: has no part in the solver dopri5' sample "$sit" --null-class $small --null-interval 2
expect 1 'reuse_interval and reuse_threshold: expected one of them' \
    sample "$sit" --null-class $small --solver euler --reuse-interval 2 --reuse-threshold 0.1
expect 1 'reuse_order: has no part without' sample "$sit" --null-class $small --solver euler --reuse-order 1
expect 1 'eta: 2, expected a number of 0 to 1' sample "$dit" --null-class $small --solver ddim --eta 2
expect 1 'cannot write' sample "$dit" --null-class --vae "$vae" --classes 1 -o "$work/no/x.png"
expect 1 'channels' sample "$dit" --null-class --vae "$golden/models/vae_both_attention_params.safetensors" \
    --classes 1 -o "$work/x.png"
absent "$work/x.png"
absent "$work/x-0000.png"

# Only PNG is written, and nothing under another name.
for name in x.jpg x.png.jpeg x; do
    expect 1 "$name: images are written as PNG" sample "$dit" --null-class --vae "$vae" --classes 1 \
        -o "$work/$name"
    expect 1 "$name: images are written as PNG" decode "$work/nofile" --vae "$vae" -o "$work/$name"
    absent "$work/$name"
done

# A photo that a camera held sideways: upright, or as it is stored. 35 x 29 pixels, behind JFIF's
# segment an Exif one with orientation 6.
photo="$golden/images/jpeg_444.jpg"
{
    head -c 20 "$photo"
    printf '\377\341\000\042Exif\000\000II*\000\010\000\000\000\001\000'
    printf '\022\001\003\000\001\000\000\000\006\000\000\000\000\000\000\000'
    tail -c +21 "$photo"
} >"$work/sideways.jpg"
expect 0 'latents \[1, 4, 7, 8\]' encode "$photo" --vae "$vae" -o "$work/l.npz"
expect 0 'latents \[1, 4, 8, 7\]' encode "$work/sideways.jpg" --vae "$vae" -o "$work/l.npz"
expect 0 'latents \[1, 4, 7, 8\]' encode "$work/sideways.jpg" --as-stored --vae "$vae" \
    -o "$work/l.npz"

# Images to latents, latents to noise, and back.
expect 0 'latents \[2, 4, 14, 14\]' encode "$work/s-0000.png" "$work/s-0001.png" --vae "$vae" \
    -o "$work/latents.safetensors"
expect 0 '2 images' decode "$work/latents.safetensors" --vae "$vae" -o "$work/again.png"
expect 0 'latents \[1, 4, 14, 14\]' \
    encode "$work/again-0001.png" --vae "$vae" --exact -o "$work/l.npz"
expect 0 'latents \[1, 4, 14, 14\]' \
    encode "$work/again-0001.png" --vae "$vae" --tile 8 -o "$work/l.npz"
expect 1 'no/l.npz: cannot write' encode "$work/nofile.png" --vae "$vae" -o "$work/no/l.npz"
expect 1 'not an image of a format that is read' encode "$vae" --vae "$vae" -o "$work/l.npz"
expect 0 'noise \[2, 4, 14, 14\]' invert "$sit" --null-class --latents "$work/latents.safetensors" \
    --classes 1,2 --cfg 1 --solver rk4 --steps 20 -o "$work/noise.safetensors"
expect 0 '2 images' sample "$sit" --null-class --vae "$vae" --noise "$work/noise.safetensors" --classes 1,2 \
    --cfg 1 --solver rk4 --steps 20 -o "$work/back.png"
expect 0 'bits per dimension' invert "$sit" --null-class --latents "$work/latents.safetensors" \
    --classes 1 --cfg 1 --likelihood --solver euler --steps 3 -o "$work/noise.safetensors"
expect 0 'noise' invert "$dit" --null-class --latents "$work/latents.safetensors" --classes 1 --steps 5 \
    -o "$work/noise.safetensors"
expect 1 'give --cfg 1' invert "$sit" --null-class --latents "$work/latents.safetensors" \
    --classes 1 --likelihood -o "$work/noise.safetensors"
expect 1 'known are ddim' invert "$dit" --null-class --latents "$work/latents.safetensors" --classes 1 \
    --solver ddpm -o "$work/noise.safetensors"
