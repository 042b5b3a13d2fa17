# pretrain: small models on small pictures, to the end, interrupted, and refused.

vae="$golden/models/vae_params.safetensors"
photos="$work/photos"
mkdir -p "$photos/cat/young" "$photos/dog" "$work/none/cat"
for image in 0 1 2; do cp "$work/s-000$image.png" "$photos/cat/young/$image.png"; done
for image in 3 4; do cp "$work/s-000$image.png" "$photos/dog/$image.PNG"; done
on_photos="$photos --vae $vae --batch 4 --threads 1"
small="--width 32 --depth 2 --heads 2 --patch 2"
decoder="--decoder-width 16 --decoder-depth 1 --decoder-heads 2"

# interrupts COMMAND...: SIGINT when the log has its third line; 130 and the word.
interrupts() {
    "$tool" "$@" -o "$work/cut.safetensors" --log-every 1 >"$work/said" 2>&1 &
    process=$!
    waited=0
    while [ "$(wc -l 2>/dev/null <"$work/cut-log.jsonl" || echo 0)" -lt 3 ] &&
        [ $waited -lt 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -INT $process 2>/dev/null || true
    code=0
    wait $process || code=$?
    checks=$((checks + 1))
    if [ $code -ne 130 ] || ! grep -q 'the same command goes on' "$work/said"; then
        failures=$((failures + 1))
        echo "FAILED: SIGINT to usp $* ended with $code"
        sed 's/^/  | /' "$work/said"
    fi
}

# continues STEPS COMMAND...: a run that is interrupted ends with the bytes of one that is not.
continues() {
    steps=$1
    shift
    rm -f "$work"/cut* "$work"/whole*
    expect 0 "$steps steps" "$@" -o "$work/whole.safetensors" --log-every 1
    interrupts "$@"
    expect 0 'going on at step .* to the same bits' "$@" -o "$work/cut.safetensors" --log-every 1
    same "$work/whole.safetensors" "$work/cut.safetensors"
    same "$work/whole-state.safetensors" "$work/cut-state.safetensors"
    for run in whole cut; do
        sed 's/,"images_per_second.*//' "$work/$run-log.jsonl" >"$work/$run-losses"
    done
    same "$work/whole-losses" "$work/cut-losses"
    expect 0 "all $steps steps are done already" "$@" -o "$work/cut.safetensors" --log-every 1
}

pretrain="pretrain $on_photos --size 32 $small $decoder"
continues 60 $pretrain --steps 60
holds "$work/cut-log.jsonl" '"step":60,"epoch":60.0,"loss":'
holds "$work/cut-log.jsonl" '"command":"pretrain".*"batch":4,'
expect 0 'usp.config: .*decoder_heads=2' inspect "$work/cut.safetensors" --summary
expect 0 'come from' transfer "$work/cut.safetensors" --to SiT --classes 2 -o "$work/t.safetensors"
expect 1 'earlier run with batch 4, now 2; give the same options' $pretrain --steps 60 --batch 2 \
    -o "$work/cut.safetensors"
expect 0 '3 steps' $pretrain --steps 3 --restart -o "$work/cut.safetensors"

cp "$work/whole.safetensors" "$work/pretrained.safetensors"

# Latents: once encoded and kept, or from a file; PyTorch's format; memory saved; bf16.
expect 0 '2 steps' $pretrain --epochs 2 --cache "$work/cache.safetensors" --accumulation 2 \
    --recompute blocks --dtype bf16 --add-noise --no-norm-pix-loss -o "$work/c.pt"
expect 0 'moments_flip *f32 *5 x 8 x 8 x 8' inspect "$work/cache.safetensors"
expect 0 '2 steps' pretrain "$work/cache.safetensors" --batch 5 --steps 2 $small $decoder \
    -o "$work/d.safetensors"
expect 0 '2 steps' pretrain "$work/latents.safetensors" --batch 2 --steps 2 $small $decoder \
    -o "$work/e.safetensors"
expect 0 '2 steps' pretrain "$work/cache.safetensors" --batch 5 --steps 2 \
    --from "$work/d.safetensors" -o "$work/e.safetensors" --restart
expect 1 'latents of 32 pixels, expected 48 pixels; remove it' $pretrain --size 48 \
    --cache "$work/cache.safetensors" -o "$work/f.safetensors"

expect 0 '5 images of 2 classes, latents \[4, 8, 8\]' encode "$photos" --vae "$vae" --size 32 \
    -o "$work/set.safetensors"
same "$work/cache.safetensors" "$work/set.safetensors"
expect 1 'size has no part' encode "$photos/dog/3.PNG" --vae "$vae" --size 32 -o "$work/l.npz"
expect 1 'written as .safetensors' encode "$photos" --vae "$vae" --size 32 -o "$work/l.npz"

# What cannot be.
expect 1 'none/cat: a class without images' pretrain "$work/none" --vae "$vae" -o "$work/f.safetensors"
expect 1 'nowhere' pretrain "$work/nowhere" --vae "$vae" -o "$work/f.safetensors"
expect 1 '5 images, which need an autoencoder' pretrain "$photos" -o "$work/f.safetensors"
expect 1 'multiple of 4' $pretrain --size 30 -o "$work/f.safetensors"
expect 1 'patch 3: does not divide latents of 8 x 8' $pretrain --patch 3 -o "$work/f.safetensors"
expect 1 'batch 6: there are 5 samples' $pretrain --batch 6 -o "$work/f.safetensors"
expect 1 'is written as .safetensors' $pretrain -o "$work/f.npz"
expect 1 'cannot write' $pretrain -o "$work/no/f.safetensors"
expect 1 'unknown model MAE-Q/2; did you mean' $pretrain --model MAE-Q/2 -o "$work/f.safetensors"
expect 1 'takes latents of 4 channels, the data.s have 16' pretrain "$photos" \
    --vae "$golden/models/vae_both_attention_params.safetensors" --size 32 --batch 2 \
    --from "$work/cut.safetensors" -o "$work/f.safetensors"
expect 1 'takes latents \[4, 8, 8\], the data.s are \[4, 4, 4\]; --size' pretrain $on_photos \
    --size 16 --from "$work/cut.safetensors" -o "$work/f.safetensors"
expect 2 'steps and --epochs exclude' $pretrain --steps 1 --epochs 1 -o "$work/f.safetensors"
expect 1 'training step .*: the loss is' $pretrain --lr 1e30 --warmup-epochs 0 \
    -o "$work/f.safetensors"
absent "$work/f.safetensors"
printf 'P' >"$photos/dog/5.png"
expect 1 'dog/5.png: not an image of a format that is read' $pretrain --batch 6 --steps 1 \
    -o "$work/f.safetensors"
rm "$photos/dog/5.png"
checks=$((checks + 1))
(trap '' XFSZ; ulimit -f 100; exec "$tool" $pretrain --steps 1 -o "$work/f.safetensors") \
    >"$work/said" 2>&1 && code=0 || code=$?
if [ $code -ne 1 ] || ! grep -q 'f-state.safetensors: cannot write: File too large' "$work/said" ||
    [ -e "$work/f-state.safetensors" ]; then
    failures=$((failures + 1))
    echo "FAILED: a full disk ended with $code"
    sed 's/^/  | /' "$work/said"
fi

# finetune: the whole network and a probe, with the accuracy on other pictures.
mkdir -p "$work/split/train" "$work/split/val" "$work/other/cat" "$work/other/dog" "$work/others/cat" "$work/others/dog" "$work/others/eel"
for kind in other/cat other/dog others/cat others/dog others/eel; do
    cp "$work/s-0001.png" "$work/s-0002.png" "$work/$kind"
done
cp -r "$photos" "$work/split/train"
cp -r "$photos" "$work/split/val"
finetune="finetune $on_photos --from $work/pretrained.safetensors --val $work/other"
continues 40 $finetune --steps 40
holds "$work/cut-log.jsonl" '"step":40,"epoch":40.0,"top1":'
expect 0 'grid 4x4, .*class_token yes, .*classes 2' inspect "$work/cut.safetensors" --summary
expect 0 'usp.class_names: \["cat","dog"\]' inspect "$work/cut.safetensors" --summary
expect 0 '3 steps, top1 ' $finetune --probe --steps 3 -o "$work/g.safetensors"
expect 0 'head.0.running_mean' inspect "$work/g.safetensors"
expect 0 '3 steps, top1 ' $finetune --probe --steps 3 --cache "$work/cache.safetensors" \
    -o "$work/g.safetensors" --restart
expect 0 '3 steps, top1 ' finetune "$work/cache.safetensors" --from "$work/pretrained.safetensors" \
    --batch 5 --steps 3 --val "$work/cache-val.safetensors" -o "$work/h.safetensors"
expect 0 '1 steps' finetune $on_photos --size 48 --from "$work/pretrained.safetensors" --pool token \
    --steps 1 -o "$work/k.pt"
expect 0 '1 steps' finetune $on_photos --size 32 --model ViT-S/2 $small --steps 1 -o "$work/i.pt"
expect 1 'others: the class eel is none of the expected: cat, dog' finetune $on_photos --from "$work/pretrained.safetensors" \
    --val "$work/others" -o "$work/j.safetensors"
# As published, and what latents cannot have; accuracy alone.
expect 0 '2 steps, top1 ' $finetune --recipe mae-b --batch 4 --steps 2 -o "$work/p.safetensors"
expect 0 'note: rand_augment, erasing: left out' finetune "$work/cache.safetensors" --recipe usp-b \
    --from "$work/pretrained.safetensors" --batch 4 --steps 1 -o "$work/q.safetensors"
expect 0 'note: rand_augment, erasing: left out' $finetune --recipe mae-b --steps 1 \
    --cache "$work/cache.safetensors" -o "$work/q.safetensors" --restart
expect 1 'erasing: has no part in latents' finetune "$work/cache.safetensors" --erasing 0.5 \
    --from "$work/pretrained.safetensors" --batch 4 --steps 1 -o "$work/r.safetensors"
expect 1 'unknown recipe "mae-q".*did you mean "mae-b"' $finetune --recipe mae-q -o "$work/r.safetensors"
expect 2 'recipe: has no part in a probe' $finetune --probe --recipe mae-b -o "$work/r.safetensors"
expect 0 'p.safetensors: 4 images, top1 [0-9.]* %' finetune "$work/other" --vae "$vae" --eval \
    --from "$work/p.safetensors"
expect 0 'p.safetensors: 5 images, top1' finetune "$work/other" --eval --from "$work/p.safetensors" \
    --val "$work/cache.safetensors"
expect 1 'others: the class eel is none of the expected: cat, dog' finetune "$work/others" --vae "$vae" \
    --eval --from "$work/p.safetensors"
expect 2 'eval writes nothing' finetune "$photos" --eval --from "$work/p.safetensors" -o "$work/r.pt"
expect 2 "Missing expected argument '--output" finetune "$photos" --from "$work/p.safetensors"

# robustness: several classifiers, images and latents.
expect 0 'linear, share' robustness "one=$work/p.safetensors" "$work/q.safetensors" "$work/other" \
    --vae "$vae" --sigmas 0.08,0.38 --steps 100 --shares 0.5 -o "$work/noise"
holds "$work/said" '^one  *[0-9.]* '
holds "$work/noise/robustness.json" '"sigma": \['
holds "$work/noise/robustness-pixels.svg" 'xmlns=.http://www.w3.org/2000/svg'
expect 0 'sigmas: left out, latents have no pixels' robustness "$work/p.safetensors" \
    "$work/cache.safetensors"
expect 1 'takes \[4, 8, 8\], the samples are .*give the autoencoder' robustness "$work/p.safetensors" \
    "$work/other" --size 32
expect 2 'give a classifier or more, and the data' robustness "$work/other"

expect 2 'have no part in a probe' $finetune --probe --drop-path 0 -o "$work/j.safetensors"
expect 1 'cache has no part in latents' finetune "$work/cache.safetensors" --batch 2 \
    --from "$work/pretrained.safetensors" --cache "$work/x.safetensors" -o "$work/j.safetensors"
expect 1 'no labels' finetune "$work/latents.safetensors" --from "$work/pretrained.safetensors" \
    -o "$work/j.safetensors"
expect 2 'give --from FILE' finetune $on_photos -o "$work/j.safetensors"
expect 1 'found train, val; give .*/split/train' finetune "$work/split" --vae "$vae" \
    --from "$work/pretrained.safetensors" -o "$work/j.safetensors"
absent "$work/j.safetensors"

# train: from transferred weights, and fresh; the average is what is written.
for family in SiT DiT; do
    expect 0 'come from' transfer "$work/pretrained.safetensors" --to $family --classes 2 \
        -o "$work/init.safetensors"
    continues 30 train $on_photos --from "$work/init.safetensors" --steps 30 --ema 0.9 --ema-warmup
    expect 0 '2 images' sample "$work/cut.safetensors" --vae "$vae" --classes 0,1 --steps 4 \
        -o "$work/drawn.png"
    expect 0 'best: block [12] at t .*; trained to the end [0-9.]* %' probe-diffusion \
        "$work/cut.safetensors" "$photos" --vae "$vae" --val "$work/other" --steps 5 --rate 1 \
        --final-epochs 2 -o "$work/inside"
    holds "$work/inside/probe-diffusion.json" "\"family\": \"$family\""
    holds "$work/inside/probe-diffusion-map.svg" 'block 2'
done
expect 1 '5 samples, of which a fifth is kept' probe-diffusion "$work/cut.safetensors" \
    "$work/cache.safetensors"
expect 1 'blocks: 3, the model has 2' probe-diffusion "$work/cut.safetensors" \
    "$work/cache.safetensors" --blocks 3

# features: tokens, attention and colours of encoders and of a diffusion transformer.
expect 0 '5 images, blocks 1, 2' features "$work/pretrained.safetensors" "$photos" --vae "$vae" \
    --layers 1,2 --tokens --attention -o "$work/tokens.npz"
expect 0 'attention.1 *f32 *5 x 2 x 17 x 17' inspect "$work/tokens.npz"
expect 0 'layer.2 *f32 *5 x 16 x 32' inspect "$work/tokens.npz"
expect 0 'colours.png: 5 images, block 2' features "$work/cut.safetensors" "$photos" --vae "$vae" \
    --time 500 --pca "$work/colours.png" -o "$work/means.safetensors"
expect 0 'layer.2 *f32 *5 x 32' inspect "$work/means.safetensors"
holds "$work/colours.png" IHDR
expect 1 'time: has no part in this MAE' features "$work/pretrained.safetensors" "$photos" --vae "$vae" \
    --time 1 -o "$work/x.npz"
expect 1 'layers: 3, expected 1 to 2' features "$work/pretrained.safetensors" "$photos" --vae "$vae" \
    --layers 3 -o "$work/x.npz"
expect 1 'tokens of a VAE: expected a ViT' features "$vae" "$photos" -o "$work/x.npz"
expect 2 'give --output ARRAYS, or --pca PICTURE' features "$work/cut.safetensors" "$photos"

# The commands around training: an autoencoder of one's own, what a masked model completes, classes by
# name, accuracy, weights of another family.
mkdir -p "$work/car"
own="$work/car/vae.safetensors"
autoencoder="autoencoder $photos --size 16 --factor 4 --base-width 8 --latent-channels 4 --batch 2 --threads 1"
expect 0 '4 steps, scale .*, psnr .* dB' $autoencoder --steps 4 -o "$own"
expect 0 'usp.config: .*scale=' inspect "$own" --summary
expect 0 "1 images" encode "$work/car/vae-reconstructions.png" --vae "$own" -o "$work/car/l.safetensors"
expect 1 'factor: 3, expected a power of 2' $autoencoder --factor 3 --steps 1 -o "$work/f.safetensors"
expect 1 'expected a folder of images' autoencoder "$photos/dog/3.PNG" --steps 1 -o "$work/f.safetensors"
through="--vae $own --size 16 --threads 1"
expect 0 'the recipe.s is 64' pretrain "$photos" $through --steps 2 $small $decoder -o "$work/car/mae.safetensors"
expect 0 '5 images, 75 %' reconstruct "$work/car/mae.safetensors" "$photos" --vae "$own" -o "$work/car/r.png"
expect 0 '1 images' reconstruct "$work/car/mae.safetensors" "$photos/dog/3.PNG" --vae "$own" --mask-ratio 0.5 \
    -o "$work/car/r.png"
expect 1 'takes latents of 4 channels: give --vae' reconstruct "$work/car/mae.safetensors" "$photos" \
    -o "$work/car/r.png"
expect 0 '2 steps' finetune "$photos" $through --from "$work/car/mae.safetensors" --steps 2 \
    -o "$work/car/c.safetensors"
expect 0 'dog/3.PNG  \(cat\|dog\) [0-9.]* %  \(cat\|dog\) ' predict "$work/car/c.safetensors" "$photos" --vae "$own"
expect 0 '"class":"\(cat\|dog\)","label"' predict "$work/car/c.safetensors" "$photos/dog/3.PNG" --vae "$own" --json
expect 0 'top1' evaluate "$photos" --classifier "$work/car/c.safetensors" --vae "$own"
expect 1 'the class eel is none of the expected: cat, dog' evaluate "$work/others" --classifier "$work/car/c.safetensors" --vae "$own"
expect 0 'SiT from .*mae.safetensors: .* are transferred' train "$photos" $through \
    --from "$work/car/mae.safetensors" --steps 2 -o "$work/car/sit.safetensors"
expect 0 'usp.autoencoder: ' inspect "$work/car/sit.safetensors" --summary
expect 0 '2 images' sample "$work/car/sit.safetensors" --vae "$own" --classes dog,cat --steps 3 \
    --solver adams-bashforth -o "$work/car/s.png"
expect 1 'unknown class "dgo".*did you mean "dog"' sample "$work/car/sit.safetensors" --vae "$own" --classes dgo \
    -o "$work/car/s.png"
expect 0 'trained on latents of the autoencoder' sample "$work/car/sit.safetensors" --vae "$vae" --classes 1 --steps 3 \
    --solver adams-bashforth -o "$work/car/s.png"
expect 0 '2 steps' train "$photos" $through --from "$work/car/mae.safetensors" --steps 2 --label-dropout 0 \
    -o "$work/car/no-null.safetensors"
expect 1 'null class was never trained' sample "$work/car/no-null.safetensors" --vae "$own" --classes 1 --cfg 2 \
    --steps 3 -o "$work/car/s.png"

# Starts of other latents, of other classes; pictures without classes; a class with a comma in its name.
expect 0 '4 steps' $autoencoder --steps 4 --seed 1 -o "$work/car/vae2.safetensors"
expect 0 'note: .*car/mae.safetensors: was trained on latents of the autoencoder .*, the data.s are of ' \
    train "$photos" --vae "$work/car/vae2.safetensors" --size 16 --threads 1 \
    --from "$work/car/mae.safetensors" --steps 1 -o "$work/car/other.safetensors"
expect 0 'latents of scale .*, the data.s are of scale 7.0: what it has learned' finetune "$photos" $through \
    --vae-scale 7 --from "$work/car/mae.safetensors" --steps 1 -o "$work/car/scaled.safetensors"
mkdir -p "$work/flat" "$work/commas/a,b" "$work/commas/c"
cp "$photos"/dog/*.PNG "$work/flat" && cp "$photos"/dog/*.PNG "$work/commas/a,b"
cp "$photos"/dog/*.PNG "$work/commas/c"
expect 0 'the head starts afresh: .* classes (cat, dog), the data has 2 (a,b, c)' finetune "$work/commas" \
    $through --from "$work/car/c.safetensors" --steps 1 --batch 2 -o "$work/car/commas.safetensors"
expect 0 'no classes .*: all [0-9]* are of one, 0, called image' train "$work/flat" $through --batch 1 \
    --from "$work/car/mae.safetensors" --steps 1 -o "$work/car/flat.safetensors"
expect 0 '1 images' sample "$work/car/flat.safetensors" --vae "$own" --classes image --steps 3 --cfg 2 \
    --solver euler -o "$work/car/s.png"
expect 0 '1 steps' train "$work/commas" $through --batch 2 --from "$work/car/mae.safetensors" --steps 1 \
    -o "$work/car/commas-sit.safetensors"
expect 0 '3 images' sample "$work/car/commas-sit.safetensors" --vae "$own" --classes c,a,b,0 --steps 3 \
    --solver euler -o "$work/car/s.png"
cp -r "$photos" "$work/damaged" && echo 'no picture' >"$work/damaged/cat/damaged.png"
damaged="autoencoder $work/damaged --size 16 --factor 4 --base-width 8 --batch 2 --threads 1 --steps 1"
expect 0 'damaged.png' $damaged --skip-unreadable -o "$work/car/v.safetensors"
expect 2 'unknown option --skip-unreadabel; did you mean --skip-unreadable?' $damaged --skip-unreadabel
expect 2 'unknown option --cfgg; did you mean --cfg?' sample "$work/car/sit.safetensors" --cfgg 2

# REPA: features beside the latents, or of each step; what a teacher cannot do.
teacher="--teacher $golden/models/dinov2_reg_params.safetensors --teacher-heads 3"
align="--align 0.5 --steps 2 --batch 4 --threads 1 --model SiT-S/2 --width 32 --depth 2 --heads 2"
expect 0 'features \[4, 24\]' encode "$photos" --vae "$own" --size 32 $teacher -o "$work/taught.safetensors"
tokens=$("$tool" inspect "$work/taught.safetensors" | sed -n 's/^moments  *f32 .* x \([0-9]*\) x [0-9]* .*/\1/p')
expect 0 'wide reads the tokens behind block 2 of 2; time 1 is noise' train "$work/taught.safetensors" $align \
    --patch $((tokens / 2)) -o "$work/repa.safetensors"
expect 0 'projectors.0.4.weight' inspect "$work/repa.safetensors"
expect 0 '1 images' sample "$work/repa.safetensors" --vae "$own" --classes 0 --solver sde --steps 2 -o "$work/repa.png"
holds "$work/repa.json" '"noise_at": 1'
holds "$work/repa.json" '"last_step": "Mean"'
holds "$work/repa.json" '"cfg_channels": 4'
expect 1 'teacher has no part in --statistics' encode "$photos" --vae "$own" $teacher --statistics -o "$work/no.pt"
expect 0 '2 steps' train "$photos" --vae "$own" --size 32 $teacher $align --patch $((tokens / 2)) \
    -o "$work/repa-steps.safetensors"
expect 1 'features of the teacher .* expected of the teacher' train "$work/taught.safetensors" $align --patch 2 \
    --teacher "$golden/models/dinov2_params.safetensors" --teacher-heads 3 -o "$work/no.safetensors"
expect 1 'no features of a teacher; give a teacher, or encode with one' train "$photos" --vae "$own" --size 32 \
    $align --patch 2 -o "$work/no.safetensors"
expect 1 'has no part in training without align' train "$photos" --vae "$own" --size 32 $teacher --model SiT-S/2 \
    --width 32 --depth 2 --heads 2 --steps 2 --batch 4 -o "$work/no.safetensors"
expect 1 'feature-type has no part without --teacher' encode "$photos" --vae "$own" --feature-type f32 \
    -o "$work/no.safetensors"
expect 1 'has no part in encoding single images' encode "$photos/dog/3.PNG" --vae "$own" $teacher \
    -o "$work/no.safetensors"
