# Runs that nobody watches: ends that are not a single Ctrl-C, two runs with one output, images that
# change, vanish or cannot be read.

long="$pretrain --steps 1000000 --save-every 1000000 --log-every 1"
out="$work/alone.safetensors"

# begins ARGUMENTS...: a run in the background that has made some steps.
begins() {
    rm -f "$work"/alone*
    "$tool" "$@" -o "$out" >"$work/said" 2>&1 &
    process=$!
    waited=0
    while [ "$(wc -l 2>/dev/null <"$work/alone-log.jsonl" || echo 0)" -lt 3 ] &&
        [ $waited -lt 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
}

# ends CODES SIGNAL...: these signals at once end the run with one of CODES.
ends() {
    wanted=$1
    shift
    checks=$((checks + 1))
    for name in "$@"; do kill -"$name" $process 2>/dev/null || true; done
    code=0
    wait $process 2>/dev/null || code=$?
    case " $wanted " in
    *" $code "*) ;;
    *)
        failures=$((failures + 1))
        echo "FAILED: $* ended the run with $code, expected $wanted"
        sed 's/^/  | /' "$work/said"
        ;;
    esac
}

# One signal or two save everything; a third ends at once.
for signals in "TERM" "HUP" "XCPU" "TERM TERM" "INT HUP"; do
    begins $long
    ends "129 130 143 152" $signals
    holds "$work/said" 'the same command goes on from there'
    holds "$work/alone-state.safetensors" 'usp.window'
    absent "$work/alone-run.lock"
done
begins $long
ends "129 130 143" TERM INT HUP
absent "$work/alone-state.safetensors"

# SIGUSR1 and SIGUSR2 save and go on; SIGHUP under nohup is ignored; so is the end of who reads.
for name in USR1 USR2; do
    begins $long
    kill -$name $process
    waited=0
    while [ ! -e "$work/alone-state.safetensors" ] && [ $waited -lt 200 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    holds "$work/alone-state.safetensors" 'usp.window'
    holds "$work/said" 'saving at step .*, and going on'
    ends 143 TERM
done
tool_under_nohup() { exec nohup "$plain" "$@"; }
plain=$tool
tool=tool_under_nohup
begins $long
tool=$plain
kill -HUP $process
sleep 0.2
ends 143 TERM
checks=$((checks + 1))
{ "$tool" $pretrain --steps 200 --log-every 1 -o "$out" --restart 2>&1 >/dev/null || echo 1; } |
    head -c 20 >/dev/null
holds "$work/alone-log.jsonl" '"step":200,'

# Two runs with one output; what a killed one leaves behind holds nobody up.
begins $long
expect 1 'written by another run, process [0-9]* (.*alone-run.lock is its lock); wait' \
    $pretrain --steps 3 -o "$work/alone.pt"
ends 137 KILL
expect 0 '3 steps' $pretrain --steps 3 -o "$out" --restart
absent "$work/alone-run.lock"

# Images that are others now, under their names: a cache and a run know.
copy="$work/copy"
cp -r "$photos" "$copy"
copied="pretrain $copy --vae $vae --batch 4 --threads 1 --size 32 $small $decoder"
expect 0 'encode: 5/5 images' $copied --steps 2 --cache "$work/copy-cache.safetensors" \
    -o "$work/copied.safetensors" --restart
expect 0 '2 steps' $copied --steps 2 -o "$work/copies.safetensors"
for image in "$copy"/cat/young/*.png; do cp "$work/s-0004.png" "$image"; done
expect 1 'cat/young/0.png and .* more have changed; remove it to encode anew' $copied --steps 2 \
    --cache "$work/copy-cache.safetensors" -o "$work/copied.safetensors"
expect 1 'an earlier run saw other images: .* have changed; put them back' $copied --steps 4 \
    -o "$work/copies.safetensors"

# One image cannot be read: told with the way out, and gone on without.
head -c 60 "$work/s-0000.png" >"$copy/dog/3.PNG"
expect 1 '^usp: .*dog/3.PNG: PNG: .*; with skip_unreadable another image' $copied --steps 4 \
    -o "$work/skips.safetensors"
expect 0 'note: .*dog/3.PNG: PNG: .*; another image of its class is in its place' $copied --steps 4 \
    --skip-unreadable -o "$work/skips.safetensors"
endless="$copied --steps 1000000 --save-every 1000000 --log-every 1"
begins $endless --skip-unreadable
ends 143 TERM
rm "$copy/dog/3.PNG"
expect 1 'dog/3.PNG is gone; put back what is gone, or go on with skip_unreadable' $endless -o "$out"
"$tool" $endless --skip-unreadable -o "$out" >"$work/said" 2>&1 &
process=$!
sleep 1
ends 143 TERM
holds "$work/said" 'going on at step .* of 1000000'
holds "$work/said" 'note: .*dog/3.PNG: cannot open: No such file .*; another image'
head -c 60 "$work/s-0000.png" >"$copy/dog/3.PNG"
expect 1 'none.*can be read\|dog/3.PNG: PNG' encode "$copy" --vae "$vae" --size 32 \
    -o "$work/skipped.safetensors"
expect 0 'dog/3.PNG.*another image of its class' encode "$copy" --vae "$vae" --size 32 \
    --skip-unreadable -o "$work/skipped.safetensors"
expect 0 'note: left out .*dog/3.PNG: PNG' encode "$copy/dog/3.PNG" "$copy/dog/4.PNG" --vae "$vae" \
    --skip-unreadable -o "$work/skipped.npz"
expect 1 'none of the images can be read' encode "$copy/dog/3.PNG" --vae "$vae" \
    --skip-unreadable -o "$work/skipped.npz"
expect 1 '^usp: .*dog/3.PNG: PNG' predict "$work/car/c.safetensors" "$copy" --vae "$own"
expect 0 'note: left out .*dog/3.PNG: PNG' predict "$work/car/c.safetensors" "$copy" --vae "$own" \
    --skip-unreadable
expect 1 'none of the 1 images can be read' reconstruct "$work/car/mae.safetensors" "$copy/dog/3.PNG" \
    --vae "$own" --skip-unreadable -o "$work/car/r.png"

# Small things that people stumble over, each told in words.
mkdir -p "$work/parts/Training" "$work/parts/validation" "$work/single/cat"
cp -r "$photos/cat" "$photos/dog" "$work/parts/Training"
cp -r "$photos/cat" "$work/parts/validation"
cp "$photos/cat/young"/*.png "$work/single/cat"
expect 1 'found Training, validation; give .*/parts/Training' pretrain "$work/parts" --vae "$vae" \
    --size 32 -o "$work/j.safetensors"
expect 1 'one class only (cat), which leaves nothing to tell apart' finetune "$work/single" \
    --vae "$vae" --size 32 --batch 2 --from "$out" -o "$work/j.safetensors"
expect 1 'is what the run starts from, and would be written over; give another output' \
    pretrain "$photos" --vae "$vae" --from "$work/alone.safetensors" -o "$work/./alone.safetensors"
expect 1 'alone-state.safetensors: is what the run starts from' pretrain "$photos" --vae "$vae" \
    --from "$work/alone-state.safetensors" -o "$work/alone.safetensors"
expect 2 'sizes of a fresh model, which --model NAME begins with' finetune $on_photos --width 32 \
    -o "$work/j.safetensors"
expect 2 'unknown command "pretrian", .*; did you mean "pretrain"' pretrian x
expect 2 'num: 9999999999, expected 1 to' sample "$sit" --vae "$vae" --classes 1 --num 9999999999 \
    -o "$work/j.png"
expect 2 'cfg-channels 9: expected 1 to 4, or all' sample "$sit" --vae "$vae" --classes 1 \
    --cfg-channels 9 -o "$work/j.png"
expect 2 'tile: -1\|Missing value\|Unknown option' encode "$work/s-0000.png" --vae "$vae" --tile -1 \
    -o "$work/j.npz"
expect 1 'depth: 0, expected a whole number of 1' $pretrain --depth 0 -o "$work/j.safetensors"
expect 0 '3 images without classes' encode "$work/single/cat" --vae "$vae" --size 32 \
    -o "$work/flat.safetensors"
expect 0 '1 steps' pretrain "$work/single/cat" --vae "$vae" --size 32 --batch 2 --steps 1 $small \
    $decoder -o "$work/flat-mae.safetensors"

# By-products of ours are no data: noise, states, grids under another name.
"$tool" encode "$work/s-0000.png" --vae "$vae" -o "$work/one.npz" >/dev/null 2>&1
expect 0 'noise' invert "$sit" --latents "$work/one.npz" --classes 1 --cfg 1 --solver euler --steps 2 \
    -o "$work/noise.safetensors"
expect 1 'holds noise, as invert writes it, and no latents' pretrain "$work/noise.safetensors" \
    --batch 1 --steps 1 $small $decoder -o "$work/j.safetensors"
expect 1 'holds noise, as invert writes it, and no latents' decode "$work/noise.safetensors" \
    --vae "$vae" -o "$work/j.png"
expect 0 '1 images' sample "$sit" --null-class --vae "$vae" --classes 1 --noise "$work/noise.safetensors" \
    --steps 2 -o "$work/again.png"
expect 1 'no diffusion transformer in it' sample "$work/alone-state.safetensors" --vae "$vae" \
    --classes 1 -o "$work/j.png"
mkdir -p "$work/grids/cat" "$work/grids/dog"
cp "$work/s.png" "$work/grids/cat/renamed.png"
cp "$work/s-0001.png" "$work/grids/dog"
expect 1 'cat/renamed.png: a grid or preview of several images' encode "$work/grids" --vae "$vae" \
    --size 32 -o "$work/j.safetensors"
absent "$work/j.safetensors"
