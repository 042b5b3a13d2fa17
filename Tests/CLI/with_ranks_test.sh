# Jobs of several ranks, where MPI is installed: the same files as of one process, the same errors.

launcher="mpirun --allow-run-as-root --oversubscribe --bind-to none --mca btl self,vader,tcp"
launcher="$launcher --mca btl_tcp_if_include lo --mca oob_tcp_if_include lo"
launcher="$launcher --mca odls_base_sigkill_timeout 3"

# ranks N: the tool as a job of N.
ranks() {
    printf '#!/bin/sh\nexec %s -np %s "%s" "$@"\n' "$launcher" "$1" "$alone_tool" >"$work/job"
    chmod +x "$work/job"
    tool="$work/job"
}

# same_run A B: models, states and logs but times.
same_run() {
    for run in "$1" "$2"; do
        sed 's/,"images_per_second.*//' "$work/$run-log.jsonl" >"$work/$run-losses"
    done
    same "$work/$1-losses" "$work/$2-losses"
    for file in .safetensors -state.safetensors; do same "$work/$1$file" "$work/$2$file"; done
}

alone_tool=$tool
if ! command -v mpirun >/dev/null 2>&1 || ! scripts/mpi.sh "$(dirname "$tool")" >/dev/null 2>&1; then
    echo "ranks: MPI is not installed here (libopenmpi-dev, openmpi-bin): jobs are not tested"
else
    fit="finetune $on_photos --size 32 --from $work/pretrained.safetensors --steps 4 --log-every 1"
    flow="train $on_photos --size 32 --model SiT-S/2 $small --steps 4 --log-every 1"
    expect 0 '4 steps' $pretrain --steps 4 --log-every 1 --parts 4 -o "$work/one.safetensors"
    expect 0 '4 steps' $fit --parts 4 -o "$work/fit1.safetensors"
    for count in 1 2 4; do
        ranks $count
        expect 0 '4 steps' $pretrain --steps 4 --log-every 1 -o "$work/some.safetensors" --restart
        same_run one some
        checks=$((checks + 1))
        [ "$(grep -c 'parameters, 4 steps' "$work/said")" -eq 1 ] ||
            { failures=$((failures + 1)); echo "FAILED: $count ranks speak"; }
        expect 0 '4 steps' $fit -o "$work/fit2.safetensors" --restart
        same_run fit1 fit2
    done

    # Shares of moments and average.
    ranks 2
    expect 0 '4 steps' $flow --ema 0.9 -o "$work/shares.safetensors" --shard --no-overlap
    tool=$alone_tool
    expect 0 '4 steps' $flow --ema 0.9 -o "$work/flow1.safetensors" --parts 4
    same_run shares flow1

    # Interrupted, and gone on with by another number of ranks.
    tool=$alone_tool
    expect 0 '5 images' encode "$photos" --vae "$vae" --size 32 -o "$work/ranks-set.safetensors"
    latents="pretrain $work/ranks-set.safetensors --batch 4 --threads 1 $small $decoder"
    rm -f "$work"/some*
    ranks 2
    "$tool" $latents --steps 3000 --log-every 10 -o "$work/some.safetensors" >"$work/said" 2>&1 &
    process=$!
    waited=0
    while [ "$(wc -l 2>/dev/null <"$work/some-log.jsonl" || echo 0)" -lt 2 ] &&
        [ $waited -lt 600 ]; do
        sleep 0.05
        waited=$((waited + 1))
    done
    kill -TERM $process 2>/dev/null || true
    wait $process 2>/dev/null || true
    holds "$work/said" 'interrupted at step .*; the same command goes on from there'
    ranks 4
    expect 0 'going on at step' $latents --steps 3000 --log-every 10 -o "$work/some.safetensors"
    tool=$alone_tool
    expect 0 '3000 steps' $latents --steps 3000 --log-every 10 --parts 4 -o "$work/one.safetensors" \
        --restart
    same_run one some

    # Work that is split, by any number of ranks: the same bytes.
    drawn="sample $sit --null-class --vae $vae --classes 1,2,3 --num 7 --steps 3 --solver euler --batch 2"
    expect 0 '7 images' $drawn -o "$work/r1.png"
    expect 0 'latents \[2, 4, ' encode "$photos/dog/3.PNG" "$photos/dog/4.PNG" --vae "$vae" \
        -o "$work/r1-latents.npz"
    for count in 2 3; do
        ranks $count
        rm -f "$work"/r2*
        expect 0 '7 images' $drawn -o "$work/r2.png"
        for file in .npz .png -0000.png -0006.png; do same "$work/r1$file" "$work/r2$file"; done
        for file in r1 r2; do
            grep -v 'seconds\|images_per_second' "$work/$file.json" >"$work/$file-record"
        done
        same "$work/r1-record" "$work/r2-record"
        expect 0 'latents \[2, 4, ' encode "$photos/dog/3.PNG" "$photos/dog/4.PNG" --vae "$vae" \
            -o "$work/r2-latents.npz"
        same "$work/r1-latents.npz" "$work/r2-latents.npz"
        expect 0 '5 images' encode "$photos" --vae "$vae" --size 32 -o "$work/r2-set.safetensors"
        same "$work/ranks-set.safetensors" "$work/r2-set.safetensors"
    done
    expect 0 'inception score' evaluate "$golden/images" $weights -o "$work/r2-features.npz"
    grep 'inception' "$work/said" >"$work/r2-scores"
    tool=$alone_tool
    expect 0 'inception score' evaluate "$golden/images" $weights -o "$work/r1-features.npz"
    grep 'inception' "$work/said" >"$work/r1-scores"
    same "$work/r1-scores" "$work/r2-scores"
    same "$work/r1-features.npz" "$work/r2-features.npz"

    # Errors are said once, and name the rank where they are one rank's.
    ranks 3
    expect 1 'ranks' $pretrain --steps 2 -o "$work/some.safetensors" --restart
    printf '#!/bin/sh\nexec "%s" "$@" --seed "$OMPI_COMM_WORLD_RANK"\n' "$alone_tool" \
        >"$work/seeded"
    chmod +x "$work/seeded"
    printf '#!/bin/sh\nexec %s -np 2 "%s" "$@"\n' "$launcher" "$work/seeded" >"$work/job"
    expect 1 'usp: rank 1: .*seed 1, rank 0 has 0' $pretrain --steps 2 \
        -o "$work/some.safetensors" --restart
    tool=$alone_tool
    checks=$((checks + 1))
    OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 USP_MPI=/nowhere.so "$tool" $pretrain --steps 1 \
        -o "$work/some.safetensors" >"$work/said" 2>&1 && code=0 || code=$?
    if [ "$code" -ne 1 ] || ! grep -q 'usp: USP_MPI: /nowhere.so' "$work/said"; then
        failures=$((failures + 1))
        echo "FAILED: a plug-in that is not there ended with $code"
    fi
fi
tool=$alone_tool
