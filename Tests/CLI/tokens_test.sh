# MAR: pretrained with a decoder that fits, trained, sampled from, and refused.

vae="$golden/models/vae_params.safetensors"
drawings="$work/drawings"
mkdir -p "$drawings/cat" "$drawings/dog"
for image in 0 1 2; do cp "$work/s-000$image.png" "$drawings/cat/$image.png"; done
for image in 3 4; do cp "$work/s-000$image.png" "$drawings/dog/$image.png"; done
on_drawings="$drawings --vae $vae --batch 4 --threads 1"
expect 0 '2 steps' pretrain $on_drawings --size 32 --steps 2 --width 32 --depth 2 --heads 2 \
    --patch 2 --decoder-width 32 --decoder-depth 2 --decoder-heads 2 -o "$work/fits.safetensors"

# Encoder and decoder are taken, the head is fresh; a MAR goes on by its own recipe.
head="--buffer 2 --head-width 16 --head-depth 1"
expect 0 'MAR, .* parameters, 3 steps, val_loss .*' train $on_drawings --family MAR \
    --from "$work/fits.safetensors" $head --copies 2 --dropout 0.05 --steps 3 --log-every 1 \
    --val "$drawings" --sample-every 3 --sample-steps 2 -o "$work/mar.safetensors"
checks=$((checks + 1))
grep -q 'tensors, [4-9][0-9] % of the parameters, are transferred' "$work/said" || {
    failures=$((failures + 1)) && echo 'FAILED: the decoder is not transferred'
}
holds "$work/mar-samples-3.png" 'IEND'
expect 0 'usp.run.copies: 2' inspect "$work/mar-state.safetensors" --summary
mar="$work/mar.safetensors"
expect 0 'MAR, .* 1 steps' train $on_drawings --from "$mar" --steps 1 -o "$work/on.safetensors"
expect 0 '50 % of the parameters\|[1-4][0-9] % of the parameters' train $on_drawings --family MAR \
    --from "$work/fits.safetensors" $head --decoder-rule fresh --steps 1 -o "$work/on2.safetensors"

# Images, the same in a batch of any size, whatever draws their noise.
for generator in counter torch; do
    for batch in 1 3; do
        expect 0 '3 images of 32 x 32' sample "$mar" --vae "$vae" --classes cat,dog,2 \
            --iterations 3 --steps 5 --cfg 2 --temperature 0.9 --batch $batch --preview 1 \
            --generator $generator -o "$work/m$batch.png"
    done
    same "$work/m1.npz" "$work/m3.npz"
done
for text in '"kind":"masked autoregression"' '"iterations":3' '"respacing":"5"' '"cfg_scale":2' \
    '"cfg_schedule":"linear"' '"generator":"torch"' '"labels":\[0,1,2\]'; do
    holds "$work/m3.png" "$text"
done
holds "$work/m3.json" '"evaluations": 3'
holds "$work/m3-preview.png" 'IEND'
expect 0 '2 images' sample "$mar" --vae "$vae" --classes all --respacing 4,3,1,1 --cfg 1 \
    -o "$work/m.png"
expect 0 '2 images' sample "$mar" --vae "$vae" --classes all --steps 6 --last-steps 2 \
    --cfg-schedule constant --dtype bf16 -o "$work/m.png"

one="--vae $vae --classes 1 -o $work/x.png"
expect 1 'iterations: 65, expected 1 to 16, the tokens' sample "$mar" $one --iterations 65
expect 1 'solver: has no part in a MAR' sample "$mar" $one --solver euler
expect 1 'eta: has no part in a MAR' sample "$mar" $one --eta 0.5
expect 1 'cfg-channels, cfg-interval: have no part in a MAR' sample "$mar" $one --cfg-channels 3
expect 1 'cfg: 2 numbers, expected one' sample "$mar" $one --cfg 1,2
expect 1 'steps, respacing: exclude each other' sample "$mar" $one --steps 5 --respacing 5
expect 1 'last_steps: 6, expected at most respacing' sample "$mar" $one --steps 5 --last-steps 6
expect 1 'did you mean "constant"' sample "$mar" $one --cfg-schedule constnt
expect 1 'class 3: the model has 0 to 1, and 2 for none' sample "$mar" --vae "$vae" --classes 3 \
    -o "$work/x.png"
expect 1 'iterations: has no part in a SiT, only in a MAR' sample "$sit" $one --iterations 3
expect 1 'attention_dropout: 0.1: dropping attention' train $on_drawings --from "$mar" --steps 1 \
    --attention-dropout 0.1 -o "$work/x.safetensors"
expect 1 'copies: has no part in' train $on_drawings --from "$sit" --steps 1 --copies 2 --size 56 \
    -o "$work/x.safetensors"
absent "$work/x.png"
